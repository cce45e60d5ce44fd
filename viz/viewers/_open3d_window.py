"""The window, inside the child process: the scene in 3D, the cameras beside it, stages by key, units by click."""

from __future__ import annotations

import os
import pickle
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from viz.palette import CHOSEN, rgb
from viz.scene import Scene
from viz.viewers._browsing import Browsing, Change, nearest_row
from viz.viewers._open3d_child import add_dots, dot_pixels, fill, prepare
from viz.viewers._open3d_drawing import BACK, Dots, Look, from_above, from_behind
from viz.viewers._open3d_job import ANSWER, QUESTION
from viz.viewers._overlay import tinted

MANY, ONE, GAP = 0.3, 0.34, 4
"""The most that several cameras take of the window's width, one camera of its height; pixels between pictures."""


REMINDERS = 5
"""How often a window that shows another frame is reminded to draw it."""


def open_window(scene: Scene, look: Look, size: tuple[int, int], folder: Path) -> None:
    """Show ``scene`` and return when the window is closed; other frames are asked for through ``folder``."""
    application = import_module("open3d").visualization.gui.Application.instance
    application.initialize()
    window = Window(scene, look, size, folder)
    application.run()
    del window


class Window:
    """One window; see ``open_window``."""

    def __init__(self, scene: Scene, look: Look, size: tuple[int, int], folder: Path) -> None:
        self.open3d = import_module("open3d")
        self.gui = gui = self.open3d.visualization.gui
        self.state = Browsing(scene)
        self.look = look
        self.folder = folder
        self.parent = os.getppid()  # without it there is nobody to wait for the window
        self.pressed = (0.0, 0.0)
        self.window = gui.Application.instance.create_window(f"{scene.title} · xmodal", *size)
        backdrop = gui.Vert()
        backdrop.background_color = gui.Color(*(channel / 255 for channel in BACK))
        self.backdrop = backdrop
        self.space = gui.SceneWidget()
        self.space.scene = self.open3d.visualization.rendering.Open3DScene(self.window.renderer)
        self.space.set_view_controls(gui.SceneWidget.Controls.ROTATE_CAMERA)
        prepare(self.space.scene)
        self.text = gui.Vert(0.15 * self.window.theme.font_size, gui.Margins(10, 8, 10, 8))
        self.text.background_color = gui.Color(0.067, 0.082, 0.11, 0.82)
        self.labels = [gui.Label("") for _ in range(7)]
        for label in self.labels:
            self.text.add_child(label)
        self.pictures = [gui.ImageWidget() for _ in scene.views]
        for widget in (self.backdrop, self.space, self.text, *self.pictures):
            self.window.add_child(widget)
        self.window.set_on_layout(self._layout)
        self.window.set_on_key(self._key)
        self.space.set_on_mouse(self._mouse)
        self._fill()
        self._move(look)
        threading.Thread(target=self._watch, daemon=True).start()

    def _fill(self) -> None:
        """Draw the state anew: points, pictures, words."""
        state, target = self.state, self.space.scene
        target.clear_geometry()
        pixels = dot_pixels(self.window.size.height) * self.window.scaling
        fill(target, state.scene, state.stage, self.look, pixels)
        if len(state.rows):
            points = state.scene.cloud[state.rows]
            colours = np.full_like(points, np.array(rgb(CHOSEN)) / 255)
            add_dots(target, "picked", Dots(points, colours, 2.2), pixels)
        order = sorted(state.scene.views, key=lambda view: view.place)
        for widget, view in zip(self.pictures, order, strict=False):
            picture = np.ascontiguousarray(tinted(view, state.shown))
            mask = view.masks["unit"] == state.unit
            if state.unit >= 0 and mask.any():
                picture[mask] = (0.4 * picture[mask] + 0.6 * np.array(rgb(CHOSEN))).astype(np.uint8)
            widget.update_image(self.open3d.geometry.Image(picture))
        self._write()
        self.window.post_redraw()

    def _write(self) -> None:
        state = self.state
        number = [stage.name for stage in state.scene.stages].index(state.stage) + 1
        lines = [
            f"{state.scene.title}   {state.scene.shown}",
            f"{number} {state.shown.title}: {state.shown.words}",
            *state.shown.caption[:3],
        ]
        lines += [""] * (5 - len(lines)) + [state.keys, state.note]
        for label, line in zip(self.labels, lines, strict=True):
            label.text = line
        dim, bright, mark = (0.62, 0.66, 0.73), (0.96, 0.97, 0.98), tuple(c / 255 for c in rgb(CHOSEN))
        for label, colour in zip(self.labels, (bright, bright, dim, dim, dim, dim, mark), strict=True):
            label.text_color = self.gui.Color(*colour)
        self.window.set_needs_layout()

    def _layout(self, context: Any) -> None:
        gui, frame = self.gui, self.window.content_rect
        right, bottom = self._place_pictures(frame)
        self.backdrop.frame = frame
        self.space.frame = gui.Rect(frame.x, frame.y, frame.width - right, frame.height - bottom)
        wanted = self.text.calc_preferred_size(context, gui.Widget.Constraints())
        width = min(wanted.width, frame.width - right - 16)
        self.text.frame = gui.Rect(frame.x + 8, frame.y + 8, width, wanted.height)

    def _place_pictures(self, frame: Any) -> tuple[int, int]:
        """The pixels that the cameras take at the right (several, one below the other) or at the bottom (one)."""
        views = self.state.scene.views
        for number, widget in enumerate(self.pictures):
            widget.visible = number < len(views)
        if not views:
            return 0, 0
        wide, high = views[0].size
        if len(views) == 1:
            height = int(min(ONE * frame.height, frame.width * high / wide))
            width = height * wide // high
            left = frame.x + (frame.width - width) // 2
            self.pictures[0].frame = self.gui.Rect(left, frame.y + frame.height - height, width, height)
            return 0, height
        room = frame.height // len(views)
        width = int(min(MANY * frame.width, (room - GAP) * wide / high))
        height = width * high // wide
        for number, widget in enumerate(self.pictures):
            widget.frame = self.gui.Rect(frame.x + frame.width - width, frame.y + number * room, width, height)
        return width + GAP, 0

    def _move(self, look: Look) -> None:
        self.look = look
        bounds = self.space.scene.bounding_box
        self.space.setup_camera(look.field, bounds, np.array(look.centre, dtype=np.float32))
        self.space.look_at(*(np.array(place, dtype=np.float32) for place in (look.centre, look.eye, look.up)))

    def _key(self, event: Any) -> bool:
        if event.type != self.gui.KeyEvent.Type.DOWN:
            return False
        key = "q" if event.key == self.gui.KeyName.ESCAPE else chr(event.key).lower() if 32 < event.key < 127 else ""
        change: Change = self.state.press(key)
        if change == "stage":
            self._fill()
        elif change == "look":
            self._move(from_above(self.state.scene) if self.state.above else from_behind(self.state.scene))
        elif change == "step":
            (self.folder / f"{QUESTION}.partial").write_text(str(self.state.step), encoding="ascii")
            os.replace(self.folder / f"{QUESTION}.partial", self.folder / QUESTION)
            self._write()
        elif change == "close":
            self.window.close()
        return change != "nothing"

    def _watch(self) -> None:
        """In a thread of its own: wait for frames that were asked for, and for the end of who would answer."""
        answer, post = self.folder / ANSWER, self.gui.Application.instance.post_to_main_thread
        while True:
            time.sleep(0.03)
            if os.getppid() != self.parent:
                post(self.window, self.window.close)
                return
            if answer.is_file():
                content = pickle.loads(answer.read_bytes())
                answer.unlink()
                post(self.window, lambda content=content: self._arrive(content))
                # What is asked of the window from outside an event is now and then drawn only at the next event.
                for _ in range(REMINDERS):
                    time.sleep(0.1)
                    post(self.window, self.window.post_redraw)

    def _arrive(self, answer: Scene | str) -> None:
        self.state.arrive(answer)
        self.window.title = f"{self.state.scene.title} · xmodal"
        self._fill()

    def _mouse(self, event: Any) -> Any:
        kinds = self.gui.MouseEvent.Type
        if event.type == kinds.BUTTON_DOWN:
            self.pressed = (event.x, event.y)
        elif event.type == kinds.BUTTON_UP and np.hypot(event.x - self.pressed[0], event.y - self.pressed[1]) < 4:
            self._pick(event.x - self.space.frame.x, event.y - self.space.frame.y)
        return self.gui.Widget.EventCallbackResult.IGNORED

    def _pick(self, x: float, y: float) -> None:
        camera = self.space.scene.camera
        transform = np.asarray(camera.get_projection_matrix(), np.float64) @ np.asarray(
            camera.get_view_matrix(), np.float64
        )
        size = (self.space.frame.width, self.space.frame.height)
        self.state.pick(nearest_row(self.state.scene.cloud, transform, size, (x, y)))
        self._fill()
