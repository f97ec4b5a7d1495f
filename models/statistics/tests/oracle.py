"""What NumPy, SciPy, scikit-learn and statsmodels find in the cases that oracle.rs writes.

    oracle.py < CASES > FINDINGS

Cases are a list of objects with the name of a function below and its arguments; findings a list
of what the functions return. What is infinite, or not a number, is written as null. Where no
library has a statistic, it stands here by its definition, however slowly.
"""

import decimal
import json
import math
import sys
import warnings

import numpy as np
from scipy import cluster, optimize, stats
from sklearn import calibration, metrics
from statsmodels.stats import contingency_tables, multitest, proportion

Z95 = stats.norm.ppf(0.975)


def placements(scores, labels):
    """Share of the other class below each study, over all pairs."""
    scores, labels = np.array(scores), np.array(labels)
    positive, negative = scores[labels], scores[~labels]
    above = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return above.mean(axis=1), 1 - above.mean(axis=0)


def variance_of_mean(values):
    return np.var(values, ddof=1) / len(values) if len(values) > 1 else 0.0


def areas(scores, labels):
    positive, negative = placements(scores, labels)
    value = metrics.roc_auc_score(labels, scores)
    margin = Z95 * math.sqrt(variance_of_mean(positive) + variance_of_mean(negative))
    rates = metrics.roc_curve(labels, scores, drop_intermediate=False)[:2]
    return {
        "auroc": {
            "value": value,
            "lower": max(value - margin, 0.0),
            "upper": min(value + margin, 1.0),
            "positives": len(positive),
            "negatives": len(negative),
        },
        "roc": np.transpose(rates),
        "precision": metrics.average_precision_score(labels, scores),
    }


def area_difference(first, second, labels):
    """DeLong's matrices of covariance, from both scores' placements."""
    (a_positive, a_negative), (b_positive, b_negative) = (
        placements(scores, labels) for scores in (first, second)
    )
    covariance = np.cov(a_positive, b_positive) / len(a_positive)
    covariance += np.cov(a_negative, b_negative) / len(a_negative)
    value = metrics.roc_auc_score(labels, first) - metrics.roc_auc_score(labels, second)
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return {
        "value": value,
        "lower": value - Z95 * error,
        "upper": value + Z95 * error,
        "p_value": 2 * stats.norm.sf(abs(value) / error),
    }


def correlations(x, y):
    pearson, spearman = stats.pearsonr(x, y), stats.spearmanr(x, y)
    interval = pearson.confidence_interval(0.95)
    z, r = math.atanh(spearman.statistic), spearman.statistic
    margin = Z95 * math.sqrt((1 + r * r / 2) / (len(x) - 3))
    return [
        {
            "value": value,
            "lower": lower,
            "upper": upper,
            "p_value": p_value,
            "studies": len(x),
        }
        for value, lower, upper, p_value in (
            (pearson.statistic, interval.low, interval.high, pearson.pvalue),
            (r, math.tanh(z - margin), math.tanh(z + margin), spearman.pvalue),
        )
    ]


def decisions(called, labels):
    recall = {"zero_division": np.nan}
    return [
        metrics.recall_score(labels, called, **recall),
        metrics.recall_score(labels, called, pos_label=False, **recall),
        metrics.precision_score(labels, called, **recall),
        metrics.precision_score(labels, called, pos_label=False, **recall),
        metrics.f1_score(labels, called, **recall),
        metrics.accuracy_score(labels, called),
        metrics.balanced_accuracy_score(labels, called) if len(set(labels)) == 2 else np.nan,
    ]


def intervals(count, of):
    ends = (proportion.proportion_confint(count, of, method=m) for m in ("wilson", "beta"))
    return [{"lower": lower, "upper": upper} for lower, upper in ends]


def fisher(table):
    """Probabilities of all tables, exactly; from the most probable one outwards in fifty digits
    where the whole numbers would be too long."""
    (a, b), (c, d) = table
    first, last = max(0, a - d), a + min(b, c)
    if a + b + c + d < 5000:
        weights = [math.comb(a + b, x) * math.comb(c + d, a + c - x) for x in range(first, last + 1)]
        # Long division, since neither sum fits a float.
        unlikely = sum(w for w in weights if w <= weights[a - first])
        return float(decimal.Decimal(unlikely) / decimal.Decimal(sum(weights)))
    decimal.getcontext().prec = 50
    mode = min(max((a + c + 1) * (a + b + 1) // (a + b + c + d + 2), first), last)
    weights = {mode: decimal.Decimal(1)}
    for step in (1, -1):
        x, weight = mode, decimal.Decimal(1)
        while first <= x + step <= last and weight > decimal.Decimal("1e-700"):
            low = min(x, x + step)
            more, less = (a + b - low) * (a + c - low), (low + 1) * (low + 1 + d - a)
            weight = weight * more / less if step == 1 else weight * less / more
            x += step
            weights[x] = weight
    close = weights.get(a, 0) * (1 + decimal.Decimal("1e-40"))
    return float(sum(w for w in weights.values() if w <= close) / sum(weights.values()))


def odds(table):
    """statsmodels would add half a study to empty cells alone."""
    added = 0.5 if 0 in np.ravel(table) else 0
    whole = contingency_tables.Table2x2(np.array(table) + added)
    lower, upper = whole.oddsratio_confint(0.05)
    squared = stats.chi2_contingency(table, correction=False)
    return {
        "odds": {"value": whole.oddsratio, "lower": lower, "upper": upper},
        "chi_squared": {"statistic": squared.statistic, "p_value": squared.pvalue},
    }


def fisher_scipy(table):
    return stats.fisher_exact(table).pvalue


def conditional_odds(table):
    found = stats.contingency.odds_ratio(table, kind="conditional")
    lower, upper = found.confidence_interval(0.95)
    return {"value": found.statistic, "lower": lower, "upper": upper}


def mann_whitney(x, y):
    return [
        {"u": found.statistic, "p_value": found.pvalue}
        for found in (
            stats.mannwhitneyu(x, y, alternative=alternative)
            for alternative in ("two-sided", "less", "greater")
        )
    ]


def adjusted(p_values):
    return [multitest.multipletests(p_values, method=m)[1] for m in ("bonferroni", "holm", "fdr_bh")]


def resampled(scores, labels, drawn):
    """Areas of the exported studies; SciPy's intervals of them, for which it leaves each study out
    itself. Equal areas are equal after rounding only."""
    scores, labels = np.array(scores), np.array(labels)

    def area(scores, labels):
        return round(metrics.roc_auc_score(labels, scores), 12)

    figures = np.array([area(scores[studies], labels[studies]) for studies in drawn])

    class Drawn:
        bootstrap_distribution = figures

    def interval(method):
        found = stats.bootstrap(
            (scores, labels),
            area,
            n_resamples=0,
            bootstrap_result=Drawn(),
            paired=True,
            vectorized=False,
            method=method,
        )
        return {"lower": found.confidence_interval.low, "upper": found.confidence_interval.high}

    return {"figures": figures, "percentile": interval("percentile"), "bca": interval("BCa")}


def trial(treatment, control, margin, alpha, ratio, power):
    """By the formula in the documentation of epi.sssupb."""
    z = stats.norm.ppf(1 - alpha) + stats.norm.ppf(power)
    variances = treatment * (1 - treatment) / ratio + control * (1 - control)
    controls = math.ceil(variances * (z / (treatment - control - margin)) ** 2)
    treated = math.ceil(controls * ratio)
    error = math.sqrt(treatment * (1 - treatment) / treated + control * (1 - control) / controls)
    reached = stats.norm.cdf(abs(treatment - control - margin) / error - stats.norm.ppf(1 - alpha))
    return {"size": {"treatment": treated, "control": controls}, "power": reached}


def power_laws(x, y, offset, start):
    x, y = np.array(x), np.array(y)
    law, covariance = optimize.curve_fit(
        lambda x, a, b, c: a * x**b + c, x, y, start, ftol=1e-15, xtol=1e-15, gtol=1e-15,
        maxfev=100000,
    )  # fmt: skip
    margin = stats.t.ppf(0.975, len(x) - 3) * math.sqrt(covariance[1, 1])
    line = stats.linregress(np.log(x), np.log(abs(y - offset)))
    line_margin = stats.t.ppf(0.975, len(x) - 2) * line.stderr
    sign = np.sign(y[0] - offset)
    return [
        {"exponent": exponent, "lower": exponent - margin, "upper": exponent + margin, "at": at}
        for exponent, margin, at in (
            (law[1], margin, law[0] * x ** law[1] + law[2]),
            (
                line.slope,
                line_margin,
                sign * np.exp(line.intercept + line.slope * np.log(x)) + offset,
            ),
        )
    ]


def square(distances):
    items = math.isqrt(len(distances))
    return np.reshape(distances, (items, items))


def condensed(distances):
    between = square(distances)
    return between[np.triu_indices(len(between), 1)]


def linkage(distances):
    """With the least sum of neighbours' distances over all orders where they are few: SciPy's
    optimal_leaf_ordering finds longer ones when distances break the triangle inequality."""
    merges = cluster.hierarchy.linkage(condensed(distances), "average")
    between = square(distances)
    orders = [[[item]] for item in range(len(between))]
    for left, right in merges[:12, :2].astype(int):
        swapped = ((orders[left], orders[right]), (orders[right], orders[left]))
        orders.append([a + b for first, second in swapped for a in first for b in second])
    lengths = [between[order[:-1], order[1:]].sum() for order in orders[-1]]
    return {
        "merges": [
            {"left": int(left), "right": int(right), "height": height, "size": int(size)}
            for left, right, height, size in merges
        ],
        "leaves": cluster.hierarchy.leaves_list(merges),
        "length": min(lengths) if len(merges) <= 12 else None,
    }


def consensus(values, clusters, drawn):
    """`values` holds one row a study; items are columns."""
    values = np.array(values)
    together = 0
    for studies in drawn:
        columns = values[studies].T
        between = abs(columns[:, None] - columns).mean(axis=2)
        merges = cluster.hierarchy.linkage(condensed(between.ravel()), "average")
        cut = cluster.hierarchy.fcluster(merges, clusters, "maxclust")
        together = together + (cut[:, None] == cut)
    together = together / len(drawn)
    heights = cluster.hierarchy.linkage(condensed((1 - together).ravel()), "average")[:, 2]
    return {"together": together.ravel(), "heights": heights}


def reliability(probabilities, called, labels, bins):
    probabilities, called, labels = map(np.array, (probabilities, called, labels))
    frequencies, confidences = calibration.calibration_curve(labels, probabilities, n_bins=bins)
    place = np.digitize(probabilities, np.linspace(0, 1, bins + 1)[1:-1])
    found = []
    for bin_, frequency, confidence in zip(sorted(set(place)), frequencies, confidences):
        own = place == bin_
        lower, upper = proportion.proportion_confint(labels[own].sum(), own.sum(), method="wilson")
        weights = np.where(labels, 1 / labels.sum(), 1 / (~labels).sum())
        both = len(set(labels[own])) == 2
        found.append({
            "lower": bin_ / bins,
            "upper": (bin_ + 1) / bins,
            "studies": own.sum(),
            "confidence": confidence,
            "frequency": frequency,
            "interval": {"lower": lower, "upper": upper},
            "balanced_frequency": np.average(labels[own], weights=weights[own]),
            "balanced_accuracy": metrics.balanced_accuracy_score(labels[own], called[own])
            if both
            else np.nan,
        })  # fmt: skip
    error = sum(abs(bin_["frequency"] - bin_["confidence"]) * bin_["studies"] for bin_ in found)
    return {
        "bins": found,
        "error": error / len(labels),
        "brier": metrics.brier_score_loss(labels, probabilities),
    }


def classes(truth, called, number):
    return {
        "matrix": {"counts": metrics.confusion_matrix(truth, called, labels=range(number))},
        "accuracy": metrics.accuracy_score(truth, called),
        "kappa": metrics.cohen_kappa_score(truth, called),
        "quadratic": metrics.cohen_kappa_score(truth, called, weights="quadratic"),
    }


def stability(before, now, bins):
    edges = np.unique(np.quantile(before, np.arange(1, bins) / bins, method="inverted_cdf"))
    edges = edges[edges < max(before)]
    shares, counts = [], []
    for values in (before, now):
        counts.append(np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1))
        shares.append((counts[-1] + 0.5) / (len(values) + 0.5 * len(counts[-1])))
    index = sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0]))
    scaled = index / (1 / len(before) + 1 / len(now))
    return {
        "reference": {"edges": edges, "counts": counts[0]},
        "stability": {"index": index, "p_value": stats.chi2.sf(scaled, len(edges))},
    }


def kolmogorov_smirnov(x, y):
    exact = max(len(x), len(y)) <= 10000
    found = stats.ks_2samp(x, y, method="exact" if exact else "asymp")
    effective = len(x) * len(y) / (len(x) + len(y))
    limit = stats.kstwobign.sf(found.statistic * math.sqrt(effective))
    return {
        "statistic": found.statistic,
        "p_value": found.pvalue if exact else limit,
        "exact": exact,
    }


def run_length(event_step, other_step, threshold, rate):
    """Brook and Evans: all states at once."""
    to = np.zeros((threshold, threshold))
    for state in range(threshold):
        for step, probability in ((event_step, rate), (other_step, 1 - rate)):
            if (after := max(state + step, 0)) < threshold:
                to[state, after] += probability
    return np.linalg.solve(np.eye(threshold) - to, np.ones(threshold))[0]


def sample(values, shares):
    return {
        "mean": np.mean(values),
        "variance": np.var(values, ddof=1),
        "quantiles": np.quantile(values, shares),
    }


def plain(value):
    """Without NumPy's types, and without numbers that JSON has not."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


warnings.simplefilter("ignore")
json.dump([plain(globals()[c["function"]](**c["arguments"])) for c in json.load(sys.stdin)], sys.stdout)
