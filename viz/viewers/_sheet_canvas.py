"""Placing things on a matplotlib Figure in inches from its upper left corner, and how wide type is."""

from __future__ import annotations

from typing import Any

from viz.viewers._sheet_style import NOTE, Theme


class Measure:
    """Widths of texts in inches, in the sheet's typeface."""

    def __init__(self) -> None:
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import TextToPath

        self._properties = FontProperties
        self._paths = TextToPath()

    def __call__(self, text: str, size: float, *, bold: bool = False) -> float:
        font = self._properties(size=size, weight="bold" if bold else "normal")
        width, _, _ = self._paths.get_text_width_height_descent(text, font, ismath=False)
        return float(width) / 72

    def cut(self, text: str, size: float, width: float, *, bold: bool = False) -> str:
        """``text``, or as much of its beginning as fits ``width`` inches, and an ellipsis."""
        if self(text, size, bold=bold) <= width:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self(text[:middle] + "…", size, bold=bold) <= width else (low, middle - 1)
        return text[:low].rstrip() + "…"

    def wrap(self, text: str, size: float, width: float) -> list[str]:
        """``text`` in lines of at most ``width`` inches; a single word that is longer is cut."""
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self(longer, size) <= width:
                lines[-1] = longer
            else:
                lines.append(self.cut(word, size, width))
        return lines


class Canvas:
    """A Figure of ``width`` x ``height`` inches."""

    def __init__(self, figure: Any, width: float, height: float, theme: Theme) -> None:
        self.figure = figure
        self.width = width
        self.height = height
        self.theme = theme

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        """A frame without ticks, ``top`` inches below the upper edge."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place)
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_color(self.theme.frame)
            side.set_linewidth(0.4)
        return axes

    def text(
        self, left: float, top: float, text: str, size: float, colour: str, *, bold: bool = False, align: str = "left"
    ) -> None:
        """``text`` whose line begins ``top`` inches below the upper edge; a dollar sign is a dollar sign."""
        self.figure.text(
            left / self.width,
            1 - (top + 0.98 * size / 72) / self.height,
            text,
            fontsize=size,
            color=colour,
            weight="bold" if bold else "normal",
            ha=align,
            va="baseline",
            parse_math=False,
        )

    def dash(self, left: float, top: float, width: float, height: float, colour: Any, *, framed: bool = False) -> None:
        """A filled rectangle, ``framed`` with a hairline, so that white shows on white."""
        from matplotlib.patches import Rectangle

        self.figure.add_artist(
            Rectangle(
                (left / self.width, 1 - (top + height) / self.height),
                width / self.width,
                height / self.height,
                transform=self.figure.transFigure,
                facecolor=colour,
                edgecolor=self.theme.faint if framed else "none",
                linewidth=0.3 if framed else 0,
            )
        )

    def badge(self, axes: Any, text: str) -> None:
        """A name in the upper left corner of a picture."""
        axes.text(
            0.012,
            0.975,
            text,
            transform=axes.transAxes,
            fontsize=NOTE,
            color="white",
            ha="left",
            va="top",
            parse_math=False,
            zorder=9,
            bbox={"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 1.4},
        )
