"""Bech32 (BIP 173): the text form of age keys."""

from collections.abc import Iterable, Sequence

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LENGTH = 6


def encode(prefix: str, data: bytes) -> str:
    """Return bytes as text, in lower case."""
    values = _regroup(data, 8, 5)
    checked = _polymod([*_expand(prefix), *values, *[0] * _CHECKSUM_LENGTH]) ^ 1
    checksum = [checked >> 5 * (5 - n) & 31 for n in range(_CHECKSUM_LENGTH)]
    return f"{prefix}1{''.join(_ALPHABET[each] for each in (*values, *checksum))}"


def decode(prefix: str, text: str) -> bytes | None:
    """Return the bytes of a text; None if it has another prefix or a typing error."""
    if text not in {text.lower(), text.upper()}:
        return None
    found, _, encoded = text.lower().rpartition("1")
    if found != prefix or any(each not in _ALPHABET for each in encoded):
        return None
    values = [_ALPHABET.index(each) for each in encoded]
    if len(values) < _CHECKSUM_LENGTH or _polymod([*_expand(prefix), *values]) != 1:
        return None
    return bytes(_regroup(values[:-_CHECKSUM_LENGTH], 5, 8, is_padded=False))


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode()
    return [*(each >> 5 for each in codes), 0, *(each & 31 for each in codes)]


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum


def _regroup(
    values: Sequence[int], from_bits: int, to_bits: int, *, is_padded: bool = True
) -> list[int]:
    """Return the same bits in groups of another size."""
    number, bits, groups = 0, 0, []
    for value in values:
        number, bits = number << from_bits | value, bits + from_bits
        while bits >= to_bits:
            bits -= to_bits
            groups.append(number >> bits & (1 << to_bits) - 1)
            number &= (1 << bits) - 1
    if bits and is_padded:
        groups.append(number << (to_bits - bits) & (1 << to_bits) - 1)
    return groups
