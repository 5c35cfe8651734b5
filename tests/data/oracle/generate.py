#!/usr/bin/env python3
"""Writes kernel.json: reference values of the kernels, each by direct summation in 60 digits (mpmath only)."""
import json
from mpmath import mp, mpf, log, exp, gamma, loggamma, binomial

mp.dps = 60


def support(n_c, n_total, k):
    return max(0, k - (n_total - n_c)), min(k, n_c)


def log_normaliser(n_c, n_total, k, l):
    lo, hi = support(n_c, n_total, k)
    # The first term exactly, the others by the exact ratio of neighbours: no cancellation, no overflow at 60 digits.
    term = exp(log_choose(k, lo) + log_choose(n_total - k, n_c - lo) - log_choose(n_total, n_c) + l * lo)
    total = term
    for x in range(lo, hi):
        term = term * (k - x) * (n_c - x) / ((x + 1) * mpf(n_total - n_c - k + x + 1)) * exp(l)
        total += term
    return log(total)


def log_choose(n, r):
    return loggamma(mpf(n) + 1) - loggamma(mpf(r) + 1) - loggamma(mpf(n - r) + 1)


def increment(n_c, n_total, k, k_c, l):
    return l * k_c - log_normaliser(n_c, n_total, k, l)


ROLLBACK = [(".15", ".05"), (".3", ".15"), (".45", ".20"), (".65", ".20"), (".9", ".15"), ("1.3", ".10"), ("1.9", ".08"), ("2.8", ".07")]
PROMOTION = [(".5", ".1"), (".25", ".2"), ("0", ".4"), ("-.5", ".2"), ("-1", ".1")]


def mixture(strata, points, base):
    s = lambda l: sum(increment(*t, l) for t in strata)
    return log(sum(w * exp(s(l)) for l, w in points)) - s(base)


def pair_wealth(n_c, k_c, n_s, k_s, margin, bet):
    """Mean wealth over all matchings, straight from the definition: sum over bad partners of good and of bad sessions."""
    good, pool = n_c - k_c, max(n_s, n_c)
    g = 1 + bet * margin
    total = mpf(0)
    for x in range(0, min(good, k_s) + 1):
        for y in range(0, min(k_c, k_s - x) + 1):
            z = k_s - x - y
            if z <= pool - n_c:
                ways = binomial(good, x) * binomial(k_c, y) * binomial(pool - n_c, z) / binomial(pool, k_s)
                total += ways * g ** (good - x) * (g + bet) ** x * (g - bet) ** (k_c - y) * g ** y
    return log(total)


def sample_ratio(n, weights, concentration=100):
    a = [concentration * w for w in weights]
    lb = lambda v: sum(loggamma(x) for x in v) - loggamma(sum(v))
    return lb([x + y for x, y in zip(a, n)]) - lb(a) - sum(x * log(w) for x, w in zip(n, weights))


def text(x):
    return mp.nstr(x, 50)


def main():
    out = {}
    # The log odds ratios are the nearest 64-bit numbers, so that both sides compute with the same input.
    f = lambda x: mpf(float(x))
    rows = [(10, 20, 3, 2, log(2)), (5, 100, 9, 2, mpf("0.7472091386584758")), (50, 100, 8, 7, 1), (1, 20, 1, 1, log(3)),
            (5, 100, 0, 0, 1), (5, 100, 100, 5, 1), (7, 9, 4, 3, -2)]
    for n_total in (10_000, 100_000):
        for n_c in (n_total // 1000, n_total // 20, n_total // 2, n_total - 3):
            for k in (1, n_total // 100, n_total // 2, n_total - 1, n_total):
                lo, hi = support(n_c, n_total, k)
                if n_total > 10_000 and hi - lo > 5_000:
                    continue
                for l in (-3, 3):
                    rows.append((n_c, n_total, k, (lo + hi) // 2, l))
    rows += [(5_000, 10_000, 5_000, 0, 3), (5_000, 10_000, 5_000, 5_000, -3), (500, 10_000, 100, 100, 3), (500, 10_000, 100, 0, -3),
             (500, 10_000, 300, 15, mpf("0.15")), (500_000, 1_000_000, 100, 60, 3)]
    out["increments"] = [dict(canary=a, total=b, bad=c, canary_bad=d, log_odds=float(l), value=text(increment(a, b, c, d, f(l)))) for a, b, c, d, l in rows]
    three = [(10, 20, 3, 2), (9, 20, 4, 3), (12, 40, 5, 4)]
    fewer = [(10, 20, 3, 0), (9, 20, 4, 1), (12, 40, 5, 1)]
    m = log(mpf("1.5"))
    tol = mpf("0.4")
    out["rollback"] = [
        dict(strata=three, tolerance=0.0, value=text(mixture(three, [(mpf(l), mpf(w)) for l, w in ROLLBACK], 0))),
        dict(strata=three, tolerance=0.4, value=text(mixture(three, [(tol + mpf(l), mpf(w)) for l, w in ROLLBACK], tol)))]
    out["promotion"] = [dict(strata=fewer, margin=float(m), value=text(mixture(fewer, [(mpf(l) * m, mpf(w)) for l, w in PROMOTION], m)))]
    pairs = [(5, 0, 95, 0), (5, 1, 95, 0), (5, 0, 95, 3), (5, 2, 95, 4), (10, 1, 10, 1), (12, 2, 8, 3), (3, 3, 0, 0), (50, 4, 950, 6), (400, 9, 600, 12)]
    out["pairs"] = [dict(canary=a, canary_bad=b, stable=c, stable_bad=d, margin=0.02, share=s, value=text(pair_wealth(a, b, c, d, f(.02), f(s) / (1 - f(.02)))))
                    for a, b, c, d in pairs for s in (0.35, 0.65, 0.85, 0.99)]
    srm = [((1900, 130), (".95", ".05")), ((1900, 100), (".95", ".05")), ((0, 0), (".99", ".01")), ((990_000, 10_000), (".99", ".01"))]
    out["sample_ratio"] = [dict(stable=n[0], canary=n[1], weight=float(w[1]), value=text(sample_ratio(n, [mpf(x) for x in w]))) for n, w in srm]
    with open("kernel.json", "w") as file:
        json.dump(out, file, indent=1)
        file.write("\n")


main()
