"""Unsupported routes return 501."""

import pytest
from zep_python import APIError

not_implemented = pytest.raises(APIError, match="'status_code': 501")


def test_collections_return_501(zep):
    with not_implemented:
        zep.document.add_collection("papers", embedding_dimensions=8, is_auto_embedded=False)
    with not_implemented:
        zep.document.get_collection("papers")
    with not_implemented:
        zep.document.update_collection("papers", description="All of them")
    with not_implemented:
        zep.document.list_collections()
    with not_implemented:
        zep.document.delete_collection("papers")
