"""Parents: workflows, and the engine that runs them.

from parent import Step, Workflow

resize_all = Workflow("resize_all", params=ResizeParams, steps=[Step(collect), Step(resize)])
"""

from parent.definition.workflow import RunData, Step, Workflow

__all__ = ["RunData", "Step", "Workflow"]
