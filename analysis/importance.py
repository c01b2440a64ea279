"""How much each code matters to tell each factor, by regressors of scikit-learn."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import Lasso
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

RegressorName: TypeAlias = Literal["forest", "lasso", "boosting"]
REGRESSORS: tuple[RegressorName, ...] = ("forest", "lasso", "boosting")

_Floats: TypeAlias = NDArray[np.floating]
_TREES = 50
_DEPTHS = (2, 4, 8, 16)
_LASSO_PENALTY = 0.02


def fit_importance(
    regressor: RegressorName, codes: _Floats, factor: _Floats, discrete: bool, seed: int
) -> tuple[_Floats, Any]:
    """Fit one factor.

    Args:
        regressor: One of `REGRESSORS`.
        codes: `(N, K)`.
        factor: `(N,)`.
        discrete: Whether its values are classes.
        seed: Seed of forests and boosting.

    Returns:
        The importance of each code, `(K,)`, not negative; and what has `predict(codes)`.
    """
    if regressor == "lasso":
        return _lasso(codes, factor)
    if regressor == "boosting":
        kind: Any = GradientBoostingClassifier if discrete else GradientBoostingRegressor
        fitted = kind(random_state=seed).fit(codes, factor)
    else:
        fitted = _forest(codes, factor, discrete, seed)
    return fitted.feature_importances_, fitted


def _forest(codes: _Floats, factor: _Floats, discrete: bool, seed: int) -> Any:
    """Fit forests of several depths; return the best on the data that each tree left out."""
    kind: Any = RandomForestClassifier if discrete else RandomForestRegressor
    # All codes at every split: given a few, trees would have to use codes that tell nothing.
    same = {"max_features": 1.0, "oob_score": True, "random_state": seed}
    forests = [kind(_TREES, max_depth=depth, **same).fit(codes, factor) for depth in _DEPTHS]
    return max(forests, key=lambda forest: forest.oob_score_)


def _lasso(codes: _Floats, factor: _Floats) -> tuple[_Floats, Any]:
    """Fit standardised codes to the standardised factor."""
    scaled = make_pipeline(StandardScaler(), Lasso(_LASSO_PENALTY))
    fitted: Any = TransformedTargetRegressor(scaled, transformer=StandardScaler())
    fitted.fit(codes, factor)
    return np.abs(fitted.regressor_[-1].coef_), fitted
