"""What the door does not have yet, it says, rather than answer something wrong."""

import pytest
from zep_python import APIError

refused = pytest.raises(APIError, match="'status_code': 501")


def test_collections_are_refused_clearly(zep):
    with refused:
        zep.document.add_collection("papers", embedding_dimensions=8, is_auto_embedded=False)
    with refused:
        zep.document.get_collection("papers")
    with refused:
        zep.document.update_collection("papers", description="All of them")
    with refused:
        zep.document.list_collections()
    with refused:
        zep.document.delete_collection("papers")
