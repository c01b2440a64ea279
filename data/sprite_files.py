"""Where the sheets of the characters are fetched from, and their checksums.

Li and Mandt's repository has the six variants of every attribute. Two of its sheets, a pair of
trousers and a shirt, lack the poses of two actions; for all 178 poses the same variants are other
clothes, from the collection that theirs were chosen from.
"""

from pathlib import Path

from .download import Remote, fetch
from .sprite_sheets import LAYERS

_FOLDER = "lpc_sprites/layers"
_RAW = "https://raw.githubusercontent.com"
_CHOSEN = f"{_RAW}/YingzhenLi/Sprites/3ce4048c5227802bd8f1888e293fd3afdba91c0c"
_COLLECTION = (
    f"{_RAW}/jrconway3/Universal-LPC-spritesheet/2668274d5a96c91584172f2d299b90f0a8c0caac"
)
_SHOES = 1  # the variant that all wear
_PARTIAL = 5  # the variant of bottomwear and topwear that lacks poses
_CHECKSUMS = {
    "body": (
        "27d1ac78db37c42f35a20d15c42705efc5e58d47c236cc01423879d4f797f151",
        "1535e9228357b884df80f777a0d1dac10ac35e550e4d8d077105ccad014a1460",
        "7c241033b4897501cb3721b6c3a9ebfa94b13db10a539edbd9bcc3e0c2a4bcb9",
        "055f5aa33fc112d8444b42fce2cf50608a9fbbf2466c54ceaa46c777589a717a",
        "57f3b9c510482379aba9a32fc0de7d48e9cbe3dc40f2447283547f773b77ca72",
        "91e49453aeab5ebbb4fd2b48253812895dcfb4cb1829b84e24425c66de8f04ff",
    ),
    "bottomwear": (
        "4ec356c488e272fde2d2d0d722b12a80217871e41161d43ba784caf243969ec2",
        "0674312eaa4ab548f8bb31ef95d7dbd46b41555758cec51bd6c3e9fac9a0f936",
        "3b464feb0d20ff34b0ca2a6d1fd00766ad86e2229c3d56ff91379fe27588a893",
        "b366e84ea0519d06cf693f51e0ee2f9ac32b3132d27c75dfdc4b6f52fca072de",
        "4ed7e7702e4f50b9692c0043be04b7296a108d85ea97230fb50d13c150d98771",
        "a5c5e7e33f13fe5ad37b5836a5a74fb0d2094a0877c2146961b88688ff85840d",
    ),
    "topwear": (
        "b917edcf2b3c35d51ef57a6fad67557c5edf048785bea29db09a640d09ac9a90",
        "e33c6cb31ed1268a2c0dc73b665b1c9b9420e22baf3321880222bdb22682368b",
        "2b9b8fefa08894b7ea536cd62b86d494aefe6e54495c5c1d83460827b13b6448",
        "807f5b628592f6747e2814be9435963069dba6c360577168c02f57bbe903433d",
        "b51b17878503877e179ce4f9231713bf2b2d2d666c3ec9ee29f4e784469867a2",
        "1b6049d43f83ebfda857cc405d1936ac9fd80be480fa6ad239024a6a75ad0372",
    ),
    "hair": (
        "e4007b0635a239ad16cdebfe90759349ccc73dfc6836c9d19625714be185f43d",
        "fa6369f84d3310705df6d8ca8c9d515a7d211e73d2826c50a9cb5bb285652c66",
        "1b8046752be7233e829ebe9b11048e171d8d181ee6f68e07042b34f57bb8af0d",
        "333783285c5fd94ff434ae5000d2da39aac7940269f173119eaa70d34c8acfa1",
        "24df8e9b291cbd444f6c4d12d35b3d43d909cd13f04e6401e0fd8ab10216d5a2",
        "4dd471cc20e0b1cf71adcaab01c88598767e5cfe680adacdf560ca91574f17ae",
    ),
    "shoes": ("d56a561616a20a12030d2d40a52eeec63e6d048871bf3b6994221869362151f1",),
}
_WHOLE = {
    "bottomwear": Remote(
        f"{_FOLDER}/bottomwear/5_full178.png",
        f"{_COLLECTION}/legs/pants/male/magenta_pants_male.png",
        "sha256:2b2f5b9a75cbc65b1966ea7c34b7102d84fee66437b0d14fae634081ecbc316c",
    ),
    "topwear": Remote(
        f"{_FOLDER}/topwear/5_full178.png",
        f"{_COLLECTION}/torso/shirts/longsleeve/male/brown_longsleeve.png",
        "sha256:bb8e098eadf040b6db69c58692231cfbc5bb5d84eb7b5b495e5cf07a6141d330",
    ),
}


def sheet_remotes(*, all_poses: bool) -> dict[str, list[Remote]]:
    """Return the file of every variant of each of `LAYERS`.

    Args:
        all_poses: Replace the two sheets that lack poses.
    """
    remotes = {}
    for layer in LAYERS:
        first = _SHOES if layer == "shoes" else 0
        files = [(f"{layer}/{k}.png", sha) for k, sha in enumerate(_CHECKSUMS[layer], first)]
        remotes[layer] = [
            Remote(f"{_FOLDER}/{file}", f"{_CHOSEN}/{file}", f"sha256:{sha}")
            for file, sha in files
        ]
        if all_poses and layer in _WHOLE:
            remotes[layer][_PARTIAL] = _WHOLE[layer]
    return remotes


def fetch_sheets(*, all_poses: bool) -> dict[str, list[Path]]:
    """Return the same files on this machine, for `read_layers`.

    Raises:
        DataError: If a file is not the right one.
        DownloadError: If a file cannot be fetched.
    """
    remotes = sheet_remotes(all_poses=all_poses)
    return {layer: [fetch(remote) for remote in found] for layer, found in remotes.items()}
