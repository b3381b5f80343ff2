"""Render a chart by Helm's own engine and hold it against the schemas of Kubernetes and of KEDA.

Run in the environment of tools/peer-environment: render_chart.py CHART < JSON list of values.
Prints a JSON list: for each the documents and the faults found in them, or why it was rejected.
"""

import json
import sys

import helm_python
import kubernetes_validate
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject, TriggerAuthentication

KEDA = {"ScaledObject": ScaledObject, "TriggerAuthentication": TriggerAuthentication}
VERSIONS = ("1.29", "1.37")


def faults_of(document):
    """Yield what is wrong with a document, unknown fields too."""
    if model := KEDA.get(document["kind"]):
        kept = model.model_validate(document).model_dump(
            mode="json", by_alias=True, exclude_unset=True
        )
        if kept != document:
            yield f"{document['kind']}: fields that KEDA does not know"
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{document['kind']} of {version}: {error.message}"


def render(chart, values):
    """Return what is printed of one set of values."""
    try:
        files = chart.render(values, name="try", namespace="sounds")
    except helm_python.HelmError as error:
        return {"error": str(error)}
    documents = [
        document
        for name, text in files.items()
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]
    return {"documents": documents, "faults": [f for each in documents for f in faults_of(each)]}


loaded = helm_python.Chart.load(sys.argv[1])
report = helm_python.lint(sys.argv[1], strict=True)
json.dump(
    {
        "lint": [message for message in report["messages"] if message["severity"] > 1],
        "rendered": [render(loaded, values) for values in json.load(sys.stdin)],
    },
    sys.stdout,
)
