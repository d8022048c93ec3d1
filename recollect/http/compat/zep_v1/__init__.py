"""The door for zep-python 1.x and zep-js 0.x: `/api/v1`, as Zep 0.27.2 answered it."""

from recollect.http.compat.zep_v1.door import ZepV1Door

__all__ = ["ZepV1Door"]
