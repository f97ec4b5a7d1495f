"""What NumPy, SciPy, scikit-learn and statsmodels find in the set that fairness.rs writes.

    fairness.py FOLDER < FAIRNESS > FINDINGS

FAIRNESS is what our code found, of which this takes the settings and the draws; FINDINGS has the
same fields as far as they can be computed here. Derivatives are taken by a complex step, so that
no formula of ours is needed for an influence.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.multitest import multipletests

Z95 = stats.norm.ppf(0.975)
STEP = 1e-30

folder = Path(sys.argv[1])
header = json.loads((folder / "set.json").read_text())
studies = [json.loads(line) for line in (folder / "studies.jsonl").read_text().splitlines()]
fairness = json.load(sys.stdin)
settings = fairness["settings"]

_, patient = np.unique([study["patient"] for study in studies], return_inverse=True)
logits = np.array([study["scores"]["diagnosis"] for study in studies])
called = logits >= [output["threshold"] for output in header["diagnoses"]]
there = np.zeros_like(called)
for study, row in zip(studies, there):
    row[study["truth"]["diagnoses"]] = True


def values(attribute):
    if attribute == "acuity":
        return np.array([header["acuity"][study["truth"]["acuity"]] for study in studies])
    return np.array([study["groups"][attribute] for study in studies])


def holm(rows, p, corrected):
    adjusted = multipletests([row[p] for row in rows], method="holm")[1]
    for row, value in zip(rows, adjusted):
        row[corrected] = value


def by_patient(influence, patients):
    """Standard error from the influence of every row."""
    sums = np.bincount(patients, weights=influence)
    count = len(np.unique(patients))
    return np.sqrt((sums**2).sum() * count / (count - 1))


def adjusted(question, chosen, first, late):
    indicators = [np.ones(chosen.sum())]
    for attribute in question["adjusted_for"]:
        own = values(attribute)[chosen]
        indicators += [(own == level).astype(float) for level in np.unique(own)[1:]]
    strata = np.transpose(indicators)
    fit = {"maxiter": 100, "tol": 1e-14, "tol_criterion": "params"}
    lateness = GLM(late, np.c_[strata, first], family=Binomial()).fit(**fit)
    propensity = GLM(first, strata, family=Binomial()).fit(**fit).predict(strata)
    says = []
    for arm, of_arm in ((1, propensity), (0, 1 - propensity)):
        fitted = lateness.predict(np.c_[strata, np.full(len(first), arm)])
        says.append(fitted + (first == arm) / of_arm * (late - fitted))
    share = [one.mean() for one in says]
    influence = [(one - m) / (m * (1 - m)) / len(late) for one, m in zip(says, share)]
    log = np.log(share[0] / (1 - share[0])) - np.log(share[1] / (1 - share[1]))
    error = by_patient(influence[0] - influence[1], patient[chosen])
    return {
        "odds_ratio": np.exp(log),
        "lower": np.exp(log - Z95 * error),
        "upper": np.exp(log + Z95 * error),
        "p": 2 * stats.norm.sf(abs(log / error)),
        "late": share,
        "strata": len(np.unique(strata, axis=0)),
        "least_propensity": np.where(first, propensity, 1 - propensity).min(),
    }


def delays():
    rows = []
    hours = np.array([study["turnaround_h"] for study in studies])
    for question in settings["questions"]:
        own, reference = values(question["attribute"]), question["reference"]
        for group in sorted(set(own) - {reference}):
            chosen = (own == group) | (own == reference)
            first, late = own[chosen] == group, hours[chosen] >= question["at_least_h"]
            cells = [[(first == a) & (late == b) for b in (True, False)] for a in (True, False)]
            table = np.array([[cell.sum() for cell in row] for row in cells])
            ratio = Table2x2(table, shift_zeros=False)
            lower, upper = ratio.oddsratio_confint()
            rows.append({
                "group": group,
                "crude": {"value": ratio.oddsratio, "lower": lower, "upper": upper},
                "p": stats.fisher_exact(table)[1],
                "adjusted": adjusted(question, chosen, first.astype(float), late.astype(float)),
            })
    holm(rows, "p", "p_holm")
    corrected = multipletests([row["adjusted"]["p"] for row in rows], method="holm")[1]
    return [row | {"adjusted_p_holm": p} for row, p in zip(rows, corrected)]


def members(group):
    return np.all([values(attribute) == value for attribute, value in group["of"].items()], axis=0)


def areas():
    rows = []
    for found in fairness["areas"]:
        inside = members(found["group"])
        both = [d for d in range(there.shape[1]) if 0 < there[inside, d].sum() < inside.sum()]
        mean = lambda of: np.mean([roc_auc_score(there[of, d], logits[of, d]) for d in both])
        rows.append({
            "mean_auroc": mean(inside),
            "mean_auroc_population": mean(np.full(len(studies), True)),
        })
    return rows


def totals(counted):
    """Counts of every patient by diagnosis."""
    sums = np.zeros((patient.max() + 1, counted.shape[1]))
    np.add.at(sums, patient, counted)
    return sums


def disparity(pairs, hits, own, own_hits):
    """From counts by diagnosis along the last axis."""
    of_all = np.where(pairs.real > 0, hits / np.where(pairs.real > 0, pairs, 1), 0)
    count = own.sum(axis=-1)
    return own_hits.sum(axis=-1) / count - (own * of_all).sum(axis=-1) / count


def rates(found):
    names = [output["name"] for output in header["diagnoses"]]
    scopes = {s["name"]: [names.index(d) for d in s["diagnoses"]] for s in settings["scopes"]}
    scope = scopes.get(found["scope"], list(range(there.shape[1])))
    inside = members(found["group"])[:, None]
    counts = there if found["rate"] == "true_positive" else ~there
    counts, hits = counts[:, scope], (counts & called)[:, scope]
    by = [totals(c) for c in (counts, hits, counts & inside, hits & inside)]
    whole = [sums.sum(axis=0) for sums in by]
    value = disparity(*whole)
    influence = disparity(*(w + 1j * STEP * sums for w, sums in zip(whole, by))).imag / STEP
    own_patients = (by[2].sum(axis=1) > 0).sum()
    seen = (influence**2).sum() * own_patients / (own_patients - 1)
    share, mix = whole[1] / whole[0], whole[2] / whole[2].sum()
    fair = (mix * (1 - whole[2] / whole[0]) * share * (1 - share)).sum() / whole[2].sum()
    error = np.sqrt(max(seen, fair))
    drawn = found["resampled"]["drawn"]
    rate = lambda draws: [called[tuple(np.transpose(one))].mean() for one in draws]
    in_group, in_all = rate([d["group"] for d in drawn]), rate([d["all"] for d in drawn])
    harm = "less" if found["rate"] == "true_positive" else "greater"
    return {
        "pairs": whole[2].sum(),
        "patients": own_patients,
        "in_group": whole[3].sum() / whole[2].sum(),
        "in_all": whole[1].sum() / whole[0].sum(),
        "disparity": value,
        "lower": value - Z95 * error,
        "upper": value + Z95 * error,
        "p": 2 * stats.norm.sf(abs(value / error)),
        "resampled": {
            "in_group": in_group,
            "in_all": in_all,
            "p": stats.mannwhitneyu(in_group, in_all, alternative=harm).pvalue,
        },
    }


def disparities():
    rows = [rates(found) for found in fairness["disparities"]]
    holm(rows, "p", "p_holm")
    holm([row["resampled"] for row in rows], "p", "p_holm")
    return rows


def plain(value):
    return value.tolist() if hasattr(value, "tolist") else float(value)


json.dump({"delays": delays(), "areas": areas(), "disparities": disparities()}, sys.stdout, default=plain)
