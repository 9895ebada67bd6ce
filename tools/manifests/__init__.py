"""The ways to add a sidecar to a Pod, all from one description of its container: `python -m tools.manifests`.

    containers ─┬─▶ kustomize ─▶ deploy/kustomize/<name>/           a component: kubectl
    (one        ├─▶ node_agent ▶ deploy/kustomize/node-agent/       a DaemonSet for all Pods of a node
     per        ├─▶ library ───▶ deploy/helm/sidecars/              a library chart: the chart of the app
     sidecar)   ├─▶ platform ──▶ deploy/helm/sidecars-platform/     a chart of the cluster, with the policies
                └─▶ injection ─▶ deploy/policies/                   the policies alone; Kyverno

`--write` renders all files anew, `--check` fails if one differs. Read `containers` first: a container there has
placeholders (`Parameter`) where a workload may choose, and each renderer puts its own form into their places.

    yaml_text   prints YAML as a person writes it       settings_schema   the JSON Schema of a sidecar's settings
    cel         prints objects as CEL                   chart_values      values.yaml, its schema, its table
"""
