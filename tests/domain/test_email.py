"""E-mail addresses are compared in one form."""

import unicodedata

from userkeep.domain.email import MAX_FOLDED_BYTES, fold_email


def test_each_letter_is_folded_as_its_other_case_and_its_other_form() -> None:
    for code in (*range(0xD800), *range(0xE000, 0x20000)):
        letter = chr(code)
        forms = {letter, letter.upper(), letter.lower()}
        forms |= {unicodedata.normalize(form, each) for form in ("NFC", "NFD") for each in forms}
        if len(forms) > 1:
            assert len({fold_email(f"a{form}b") for form in forms}) == 1, hex(code)


def test_a_folded_address_fits_into_the_index_and_is_that_of_one_address_alone() -> None:
    longest = "\N{MUSICAL SYMBOL HALF NOTE}" * 512
    folded = fold_email(longest)
    assert folded is not None
    assert len(folded.encode()) <= MAX_FOLDED_BYTES
    assert folded != fold_email(longest[1:])
    assert fold_email("\N{COMBINING ACUTE ACCENT}" * 100_000) != folded
