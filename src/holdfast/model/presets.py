"""The policies that come with holdfast, as documents such as a user writes."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "customer_success": {
        "name": "customer_success",
        "resurface_days": 3,
        "opportunity_score_min": 7,
        "risk_score_min": 7,
        "signals": {
            "utilization_percent": {},
            "yoy_growth": {},
            "adoption_rate": {},
            "last_month_growth": {},
            "market_percentile": {"min": 0, "max": 100},
            "usage_score": {"min": 0, "max": 100},
            "revenue_impact_tier": {"min": 0, "max": 5},
            "churn_risk_score": {"min": 0, "max": 10},
        },
        "opportunity": {
            "at_least": 0,
            "at_most": 10,
            "points": [
                {"label": "fully used", "signal": "utilization_percent", "at_least": 100, "points": 3},
                {"label": "grew over the year", "signal": "yoy_growth", "above": 50, "points": 2},
                {"label": "priced below the market", "signal": "market_percentile", "at_most": 25, "points": 2},
                {"label": "widely adopted", "signal": "adoption_rate", "above": 80, "points": 2},
                {"label": "high revenue", "signal": "revenue_impact_tier", "at_least": 4, "points": 1},
            ],
        },
        "risk": {
            "at_least": 0,
            "at_most": 10,
            "points": [
                {"label": "churn risk", "signal": "churn_risk_score", "points": 1},
                {"label": "weak relationships", "field": "weak", "above": 0, "points": 2},
                {"label": "usage fell last month", "signal": "last_month_growth", "below": -10, "points": 2},
                {"label": "high revenue at risk", "signal": "revenue_impact_tier", "at_least": 4, "points": 1},
            ],
        },
        "priority": {
            "points": [
                {"label": "revenue impact", "signal": "revenue_impact_tier", "points": 5},
                {"label": "churn risk", "signal": "churn_risk_score", "points": 5, "types": ["risk"]},
                {"label": "usage", "signal": "usage_score", "points": 1, "each": 10, "types": ["opportunity"]},
            ],
        },
        "snoozed": {"soon_days": 3, "soon": 1000, "later": 400},
    },
}
"""Each by its name; see `holdfast.model.policy_documents`."""
