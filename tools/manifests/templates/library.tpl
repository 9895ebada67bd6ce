{{/* Rendered by `make docs` from tools/manifests; do not edit. The templates for the chart of an app are in README.md. */}}

{{/* The chart's values. With an alias of the dependency the caller passes them: "values" $.Values.alias */}}
{{- define "sidecars.values" -}}
{{- toYaml (.values | default .root.Values.sidecars) }}
{{- end }}

{{/* The values of one sidecar of one workload: those of the workload over those of the chart. */}}
{{- define "sidecars.own" -}}
{{- $values := include "sidecars.values" . | fromYaml }}
{{- $own := get $values .sidecar }}
{{- if .name }}
{{- if not (hasKey ($values.workloads | default dict) .name) }}
{{- fail (printf "sidecars: there is no workload %q in sidecars.workloads" .name) }}
{{- end }}
{{- range $key, $value := get (get $values.workloads .name | default dict) .sidecar | default dict }}
{{- if eq $key "settings" }}
{{- $own = set $own $key (merge $value ($own.settings | default dict)) }}
{{- else }}
{{- $own = set $own $key $value }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $own }}
{{- end }}

{{- define "sidecars.image" -}}
{{- $values := include "sidecars.values" . | fromYaml }}
{{- if .own.image }}
{{- .own.image }}
{{- else if eq .sidecar "@OWN_IMAGE@" }}
{{- fail "sidecars: set sidecars.@OWN_IMAGE@.image to the image that has your WAR" }}
{{- else }}
{{- $registry := required "sidecars: set sidecars.registry, such as registry.example/sidecars: no registry is built in" $values.registry }}
{{- with (.root.Values.global | default dict).imageRegistry }}
{{- $path := regexReplaceAll "^([^/]*[.:][^/]*|localhost)(/|$)" $registry "" }}
{{- $registry = list . $path | compact | join "/" }}
{{- end }}
{{- $registry }}/{{ .sidecar }}
{{- with .own.digest }}@{{ . }}{{ else }}:{{ .own.tag | default $values.tag | default "@VERSION@" }}{{ end }}
{{- end }}
{{- end }}

{{- define "sidecars.configMapName" -}}
{{- list .root.Release.Name .name .sidecar | compact | join "-" | trunc 253 }}
{{- end }}

{{/* "true" if the caller sets this variable: a default of ours would be a second entry of that name. */}}
{{- define "sidecars.given" -}}
{{- $given := hasKey (.own.settings | default dict) .variable }}
{{- range .own.env }}
{{- if eq .name $.variable }}{{ $given = true }}{{ end }}
{{- end }}
{{- if $given }}true{{ end }}
{{- end }}

{{/* ORDERS in AMBASSADOR_ORDERS_TIMEOUT is an upstream only if AMBASSADOR_ORDERS_UPSTREAM is set. */}}
{{- define "sidecars.checkNames" -}}
{{- range $variable, $_ := .own.settings }}
{{- $bare := $variable | trimSuffix "_FILE" }}
{{- if not (or (has $bare $.known) $.own.envFrom) }}
{{- $anchor := "" }}
{{- range $.suffixes }}
{{- $pair := splitList "=" . }}
{{- $suffix := printf "_%s" (first $pair) }}
{{- if and (not $anchor) (hasSuffix $suffix $bare) }}
{{- $anchor = printf "%s%s_%s" $.prefix ($bare | trimPrefix $.prefix | trimSuffix $suffix) (last $pair) }}
{{- end }}
{{- end }}
{{- if not (or (include "sidecars.given" (dict "own" $.own "variable" $anchor)) (hasKey $.own.settings (printf "%s_FILE" $anchor))) }}
{{- fail (printf "sidecars: %s is not a setting, or %s is missing" $variable $anchor) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The init containers of a workload, in the order in which they start. */}}
{{- define "sidecars.initContainers" -}}
{{- if semverCompare "<1.29.0-0" .root.Capabilities.KubeVersion.Version }}
{{- fail "sidecars: native sidecars need Kubernetes 1.29" }}
{{- end }}
{{- $root := .root }}{{ $name := .name }}{{ $values := .values }}
{{- range $sidecar := list @NAMES@ }}
{{- $context := dict "root" $root "name" $name "values" $values "sidecar" $sidecar }}
{{- $_ := set $context "own" (include "sidecars.own" $context | fromYaml) }}
{{- if $context.own.enabled }}
{{- include (printf "sidecars.%s.check" $sidecar) $context }}
{{ include (printf "sidecars.%s.container" $sidecar) $context }}
{{- end }}
{{- end }}
{{- end }}

{{/* The volumes that the sidecars of a workload bring along. */}}
{{- define "sidecars.volumes" -}}
{{- $root := .root }}{{ $name := .name }}{{ $values := .values }}
{{- range $sidecar := list @NAMES@ }}
{{- $context := dict "root" $root "name" $name "values" $values "sidecar" $sidecar }}
{{- $_ := set $context "own" (include "sidecars.own" $context | fromYaml) }}
{{- if $context.own.enabled }}
{{ include (printf "sidecars.%s.volumes" $sidecar) $context }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Pod's securityContext: the caller's, as "context", with fsGroup where it is absent and a sidecar needs it. */}}
{{- define "sidecars.podSecurityContext" -}}
{{- $root := .root }}{{ $name := .name }}{{ $values := .values }}
{{- $context := deepCopy (.context | default dict) }}
{{- range $sidecar := list @FS_GROUP_NAMES@ }}
{{- $own := include "sidecars.own" (dict "root" $root "name" $name "values" $values "sidecar" $sidecar) | fromYaml }}
{{- if and $own.enabled (not (hasKey $context "fsGroup")) }}
{{- $_ := set $context "fsGroup" @FS_GROUP@ }}
{{- end }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{/* A ConfigMap for each sidecar of a workload that has `settings`. */}}
{{- define "sidecars.configMap" -}}
{{- $root := .root }}{{ $name := .name }}{{ $values := .values }}
{{- range $sidecar := list @NAMES@ }}
{{- $context := dict "root" $root "name" $name "values" $values "sidecar" $sidecar }}
{{- $own := include "sidecars.own" $context | fromYaml }}
{{- if and $own.enabled $own.settings }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "sidecars.configMapName" $context }}
  labels: {app.kubernetes.io/managed-by: {{ $root.Release.Service }}, app.kubernetes.io/instance: {{ $root.Release.Name }}}
data:
  {{- range $variable, $text := $own.settings }}
  {{ $variable }}: {{ $text | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Annotations of the Pod: they change with the settings, so that an upgrade restarts the Pods. */}}
{{- define "sidecars.podAnnotations" -}}
checksum/sidecars: {{ include "sidecars.configMap" . | sha256sum }}
{{- end }}
