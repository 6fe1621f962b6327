"""A report in words: report.md, and the sentences that the page shares with it."""

from collections.abc import Mapping
from typing import Any

from scrn_jax.metrics.metric import METRICS, in_order

FEW_FOR_FID = 2048  # as many as Inception has features: with fewer, the covariance has no full rank


def methods_of(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The methods' parts by name, also of a report of one method, whose name is then "generated"."""
    return report.get("methods", {"generated": report})


def table(report: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, list[str], bool]]]:
    """The metrics' names, and rows of a method's name, its numbers as text, and whether they are published ones."""
    methods = methods_of(report)
    metrics = in_order({name: None for entry in methods.values() for name in entry["metrics"]})

    def cells(numbers: Mapping[str, float | None]) -> list[str]:
        return [METRICS[name].text(numbers.get(name)) for name in metrics]

    rows = [(name, cells(entry["metrics"]), False) for name, entry in methods.items()]
    published = report.get("published", {"methods": {}})["methods"]
    return metrics, rows + [(name, cells(numbers), True) for name, numbers in published.items()]


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """The measured figures, a line a method, and what to mind about them."""
    metrics, rows = table(report)
    lines = []
    for name, cells, published in rows:
        if not published:
            figures = ", ".join(f"{METRICS[metric].title} {cell}" for metric, cell in zip(metrics, cells, strict=True))
            lines.append(f"{name}: {figures}")
    return lines + reason_lines(report)


def order_lines(report: Mapping[str, Any]) -> list[str]:
    """A sentence on the order of the methods for each metric of the paper's table 1."""
    lines = []
    for metric, order in report.get("order", {}).items():
        verdict = {True: "the order of table 1", False: f"table 1 has {' > '.join(order['published'])}", None: ""}
        words = verdict[order["agrees"]]
        lines.append(f"{METRICS[metric].title}: {' > '.join(order['measured'])}{f' ({words})' if words else ''}")
    return lines


def reason_lines(report: Mapping[str, Any]) -> list[str]:
    """Why numbers are not there, and what to mind about those that are."""
    lines = []
    for name, entry in methods_of(report).items():
        for metric, reason in entry["reasons"].items():
            lines.append(f"{name} has no {METRICS[metric].title}: {reason}.")
        if entry["metrics"].get("fid") is not None and entry["count"] < FEW_FOR_FID:
            lines.append(f"{name}: FID of {entry['count']} images, fewer than {FEW_FOR_FID}, is biased upwards.")
    if "published" in report:
        lines.append("The published numbers are of DeepFashion's 8,570 test pairs in the frame of the protocol scrn.")
    counts = {entry["count"] for entry in methods_of(report).values()}
    if len(counts) > 1:
        lines.append("The methods were not measured on the same number of pairs: their numbers do not compare.")
    if any("random" in entry["sha256"] for entry in report["weights"].values()):
        lines.append("Some weights are random: figures that use them mean nothing.")
    return lines


def protocol_lines(report: Mapping[str, Any]) -> list[str]:
    """How was measured."""
    details = report["protocol_details"]
    height, width = details["frame"]
    padded = f"padded with {details['padding']} white columns on each side" if details["padding"] else "not padded"
    lines = [f"Protocol {report['protocol']}, of the tables of {details['tables']}. Frame {height}x{width}; {padded}."]
    for name, ssim in details["ssim"].items():
        window = (
            f"Gaussian window, sigma {ssim['sigma']}" if ssim["gaussian"] else f"uniform window of {ssim['window']}"
        )
        spread = ssim["data_range"] or "the generated image's maximum - minimum"
        divisor = "N - 1" if ssim["sample_covariance"] else "N"
        lines.append(f"{METRICS[name].title}: {window}, covariance over {divisor}, data range {spread}.")
    lines.append("PSNR: range 1, mean over the images.")
    if details["lpips"]:
        lines.append(f"LPIPS: v0.1, {details['lpips']}, inputs in [-1, 1], not padded.")
    if report["fid_reference"]:
        images = {"test": "the references", "train": "the training images"}[report["fid_reference"]["images"]]
        lines.append(f"FID: pytorch-fid's Inception, not padded, against {images}.")
    return lines + ([details["remarks"]] if details["remarks"] else [])


def file_lines(report: Mapping[str, Any]) -> list[str]:
    """What was read."""
    lines = []
    for name, entry in methods_of(report).items():
        for role, seen in entry["images"].items():
            title = name if name == role else f"{name}, {role}"
            title += f" (the folder {entry['folder']})" if role == "generated" else ""
            lines.append(f"{title}: {seen['count']} files{_kinds(seen)}; names and contents sha256 {seen['sha256']}.")
        for what in ("missing", "extra"):
            if entry[what]["count"]:
                lines.append(f"{name}: {entry[what]['count']} {what}, the first: {entry[what]['first'][0]}.")
    seen = report["fid_reference"]
    if seen and "count" in seen:
        lines.append(f"FID compares with {seen['count']} files{_kinds(seen)}; sha256 {seen['sha256']}.")
    for name, file in report["weights"].items():
        lines.append(f"Weights of {name}: {file['file']}, sha256 {file['sha256']}.")
    lines.append("Software: " + ", ".join(f"{name} {number}" for name, number in report["software"].items()) + ".")
    return lines


def _kinds(seen: Mapping[str, Any]) -> str:
    parts = [f"{count} {name}" for name, count in seen.get("formats", {}).items()]
    parts += [f"{count} of {name} pixels" for name, count in seen.get("sizes", {}).items()]
    parts += [f"{count} by the rule {name}" for name, count in seen.get("rules", {}).items()]
    return f" ({', '.join(parts)})" if parts else ""


def markdown(report: Mapping[str, Any]) -> str:
    """report.md."""
    metrics, rows = table(report)
    count = ", ".join(str(n) for n in sorted({entry["count"] for entry in methods_of(report).values()}))
    lines = [f"# Evaluation by the protocol {report['protocol']}", "", f"{count} pairs.", ""]
    lines += ["| | " + " | ".join(METRICS[name].heading for name in metrics) + " |", "|---|" + "---|" * len(metrics)]
    for name, cells, published in rows:
        title = f"*{_escaped(name)}, published*" if published else _escaped(name)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    sections = {
        "Order of methods": order_lines(report),
        "To mind": reason_lines(report),
        "How it was measured": protocol_lines(report),
        "What was read": file_lines(report),
    }
    for title, sentences in sections.items():
        if sentences:
            lines += ["", f"## {title}", "", *(f"- {_escaped(sentence)}" for sentence in sentences)]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Text in which Markdown sees no mark-up: names have underscores, and a file may be called anything."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in text)
