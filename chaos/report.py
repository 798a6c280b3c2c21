"""The table at the end."""

from chaos.scenario import Report

__all__ = ["as_text"]

SHOWN = 20
"""How many cases of each kind are listed."""


def as_text(report: Report) -> str:
    """The report, one figure or case per line."""
    states = ", ".join(f"{state} {count}" for state, count in sorted(report.runs.items()))
    rows = {
        "runs": f"{report.runs.total()} ({states})",
        "steps": report.steps,
        "items": report.items,
        "child runs": report.child_runs,
        "signals and approvals": report.answers,
        "notifications to a receiver that never answers": report.notifications,
        "attempts": f"{report.attempts} ({report.unfinished} ended by a fault)",
        "faults": report.faults.total(),
        **{f"  {kind}": count for kind, count in report.faults.most_common()},
        "slowest recovery": report.recovery,
        "all ended after": f"{report.settling:.1f} s",
        "workers killed at the end": ", ".join(report.late_workers) or 0,
        "lost": len(report.lost),
        "doubled": len(report.doubled),
        "out of order": len(report.out_of_order),
        "left over": len(report.left_over),
    }
    lines = [f"{name}: {value}" for name, value in rows.items()]
    for name in ("lost", "doubled", "out_of_order", "left_over"):
        cases = getattr(report, name)
        lines += [f"! {name.replace('_', ' ')}: {case}" for case in cases[:SHOWN]]
        if len(cases) > SHOWN:
            lines.append(f"! and {len(cases) - SHOWN} more")
    return "\n".join(lines)
