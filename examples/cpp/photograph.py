# examples/cpp/photograph.py -- writes a photograph of scikit-image's as a PPM picture, for the programs here
"""python examples/cpp/photograph.py photo.ppm"""

import argparse

from skimage import data


def main():
    parser = argparse.ArgumentParser(description="Writes a photograph as a binary PPM picture.")
    parser.add_argument("out", help="the picture to write, .ppm")
    args = parser.parse_args()
    photo = data.astronaut()  # (512, 512, 3), comes with the package
    with open(args.out, "wb") as file:
        file.write(f"P6\n{photo.shape[1]} {photo.shape[0]}\n255\n".encode())
        file.write(photo.tobytes())


if __name__ == "__main__":
    main()
