# SPDX-License-Identifier: Apache-2.0
"""python -m training.examples FOLDER: pictures of the world with prompts that fit."""
import os
import sys

from . import pictures, store, world

EXAMPLES = {
    "red-ball": (world.Scene("ball", "large", "red", "metal", "grey", "blue",
                             30.0, 43.0, 23),
                 "A large red metal ball falls onto the grey floor and bounces."),
    "green-cube": (world.Scene("cube", "medium", "green", "wood", "beige", "white",
                               22.0, 44.0, 25),
                   "A green wooden cube drops onto a beige floor in front of a white wall."),
    "yellow-ball": (world.Scene("ball", "medium", "yellow", "rubber", "brown", "purple",
                                40.0, 44.0, 24),
                    "A bouncy yellow rubber ball falls on the brown floor."),
    "blue-cube": (world.Scene("cube", "large", "blue", "rubber", "white", "yellow",
                              34.0, 43.0, 22),
                  "A big blue cube made of rubber is dropped onto a white table."),
    "orange-ball": (world.Scene("ball", "small", "orange", "wood", "dark", "green",
                                36.0, 45.0, 26),
                    "A little wooden ball, painted orange, falls onto a dark floor."),
}


def main(folder):
    for name, (scene, _) in EXAMPLES.items():
        pictures.write_png(os.path.join(folder, f"{name}.png"), world.render(scene, [0])[0])
    store.save_json(os.path.join(folder, "prompts.json"),
                    {f"{name}.png": prompt for name, (_, prompt) in EXAMPLES.items()})


if __name__ == "__main__":
    main(sys.argv[1])
