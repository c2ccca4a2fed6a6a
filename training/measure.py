# SPDX-License-Identifier: Apache-2.0
"""The figures of a set of films whose scenes are known; numpy only."""
import numpy as np

from . import detect, world

PICTURE_WITHIN = 2.5 / world.FPS        # s: a nearer impact counts as found
SOUND_WITHIN = 0.060
TOGETHER_WITHIN = 0.150
NONE = float("nan")


def impact_times(scene):
    """Of the impacts in the film, s."""
    return np.array([slot for slot, _ in world.impacts(scene)]) * world.SLOT / world.RATE


def _timing(found, wanted, within):
    pairs = detect.match(found, wanted, within)
    return dict(errors=[abs(a - b) for a, b in pairs], wanted=len(wanted),
                extra=len(found) - len(pairs))


def measure_picture(film, scene):
    lift, _ = detect.track(film, scene)
    truth = world.lifts(scene)
    seen = impact_times(scene)
    errors = detect.colour_errors(film, scene, lift)
    found, shape = detect.picture_impacts(lift), detect.shape(film, scene)
    return dict(impacts=found,
                picture=_timing(found, seen[seen < world.FRAMES / world.FPS],
                                PICTURE_WITHIN),
                path=float(np.abs(lift - truth).mean()),
                seen_shape=shape, shape=shape == scene.shape,
                thing=errors[0], floor=errors[1], wall=errors[2],
                first=detect.psnr(film[0], world.render(scene, [0])[0]))


def measure_sound(sound, scene):
    onsets = detect.sound_onsets(sound)
    material, size = detect.timbre(sound, onsets[0]) if len(onsets) else (None, None)
    return dict(onsets=onsets, sound=_timing(onsets, impact_times(scene), SOUND_WITHIN),
                heard=(material, size), material=material == scene.material,
                pitch=size == scene.size)


def measure(film, sound, scene):
    """All figures of one film: picture [F, H, W, 3], u8; sound [n], f32."""
    out = dict(measure_picture(film, scene), **measure_sound(sound, scene))
    seen = out["impacts"]
    heard = [t for t in out["onsets"] if t < world.FRAMES / world.FPS]
    pairs = detect.match(heard, seen, TOGETHER_WITHIN)
    out["together"] = [abs(a - b) for a, b in pairs]
    return out


def _quantile(values, q):
    return float(np.quantile(values, q)) if len(values) else NONE


def _times(films, key, scale):
    errors = [e * scale for f in films for e in f[key]["errors"]]
    wanted = sum(f[key]["wanted"] for f in films)
    return (_quantile(errors, 0.5), len(errors) / max(wanted, 1),
            float(np.mean([f[key]["extra"] for f in films])))


def summarize(films):
    """{figure: value} over measured films."""
    mean = lambda key: float(np.mean([f[key] for f in films]))
    picture, heard = _times(films, "picture", world.FPS), _times(films, "sound", 1000.0)
    together = [1000 * e for f in films for e in f["together"]]
    return dict(picture_frames=picture[0], picture_recall=picture[1],
                picture_extra=picture[2], path_pixels=mean("path"),
                sound_ms=heard[0], sound_recall=heard[1], sound_extra=heard[2],
                synchrony_ms=_quantile(together, 0.5),
                synchrony_p90_ms=_quantile(together, 0.9),
                material=mean("material"), pitch=mean("pitch"), shape=mean("shape"),
                thing_colour=mean("thing"), floor_colour=mean("floor"),
                wall_colour=mean("wall"), first_frame_db=mean("first"))


def chance(films, scenes):
    """Figures when each film is held against the next one's scene."""
    moved = []
    for film, scene in zip(films, scenes[1:] + scenes[:1]):
        times = impact_times(scene)
        material, size = film["heard"]
        moved.append(dict(film, sound=_timing(film["onsets"], times, SOUND_WITHIN),
                          picture=_timing(film["impacts"],
                                          times[times < world.FRAMES / world.FPS],
                                          PICTURE_WITHIN),
                          material=material == scene.material, pitch=size == scene.size,
                          shape=film["seen_shape"] == scene.shape))
    kept = ("picture_frames", "picture_recall", "picture_extra", "sound_ms",
            "sound_recall", "sound_extra", "material", "pitch", "shape")
    return {k: v for k, v in summarize(moved).items() if k in kept}
