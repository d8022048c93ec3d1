"""The projects of an instance, for jobs that go through all of them."""

from userkeep.domain.scope import Rules, Scope
from userkeep.jobs.steps import Read, Steps
from userkeep.services import instance


def project_scopes(rules: Rules) -> Steps[list[Scope]]:
    """Return a scope for each project that is not deleted or being deleted."""
    project_ids = yield Read(instance.project_ids)
    return [Scope(project_id, rules) for project_id in project_ids]


def unpurged_project_scopes(rules: Rules) -> Steps[list[Scope]]:
    """Return a scope for each project in which an erasure or a purge may not be finished."""
    project_ids = yield Read(instance.unpurged_project_ids)
    return [Scope(project_id, rules) for project_id in project_ids]
