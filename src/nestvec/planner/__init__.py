"""Which sizes to ship: every dial tried on one's own data, and the cheapest setting that is shown to keep enough."""

from nestvec.planner.budget import Budget
from nestvec.planner.candidates import Candidate, codings
from nestvec.planner.choosing import Rules
from nestvec.planner.offering import Dials
from nestvec.planner.planning import Task, plan
from nestvec.planner.result import Plan, Row
from nestvec.planner.targets import Agreement, Judged, Target
from nestvec.planner.tokens import TokenView
from nestvec.planner.views import View
from nestvec.search.coding import Coding

__all__ = [
    "Agreement",
    "Budget",
    "Candidate",
    "Coding",
    "Dials",
    "Judged",
    "Plan",
    "Row",
    "Rules",
    "Target",
    "Task",
    "TokenView",
    "View",
    "codings",
    "plan",
]
