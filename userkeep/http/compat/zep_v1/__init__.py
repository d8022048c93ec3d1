"""The compatibility API for zep-python 1.x and zep-js 0.x: `/api/v1` of Zep 0.27.2."""

from userkeep.http.compat.zep_v1.api import ZepV1API

__all__ = ["ZepV1API"]
