"""xmodal doctor: what is installed, what can compute and draw here, what is kept; warnings, never a refusal."""

from __future__ import annotations

from xmodal_cli.options import Json


def doctor(json: Json = False) -> None:
    """Look at this machine: packages, GPU, viewers (each tries to draw), caches. What is amiss is a warning."""
    from rich.markup import escape

    from xmodal_cli.checks import all_checks
    from xmodal_cli.console import err, out, print_json

    checks = []
    group = ""
    with err.status("looking at this machine"):
        for check in all_checks():
            checks.append(check)
            if json:
                continue
            if check.group != group:
                group = check.group
                out.print(f"[bold]{group}[/]")
            mark = "[green]ok[/]  " if check.ok else "[yellow]warn[/]"
            out.print(f"  {mark} {check.name}: {escape(check.found)}", highlight=False, soft_wrap=True)
            if not check.ok:
                out.print(f"       [yellow]{escape(check.hint)}[/]", highlight=False, soft_wrap=True)
    amiss = [check for check in checks if not check.ok]
    if json:
        print_json({"ok": not amiss, "warnings": len(amiss), "checks": [check.as_json() for check in checks]})
    else:
        out.print("all is well" if not amiss else f"{len(amiss)} warnings" if len(amiss) > 1 else "1 warning")
