{{/* Rendered by `make docs` from tools/manifests; do not edit. */}}

{{- define "sidecars-platform.labels" -}}
app.kubernetes.io/name: sidecars
app.kubernetes.io/part-of: sidecars
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "sidecars-platform.metadata" -}}
labels:
  {{- include "sidecars-platform.labels" . | nindent 2 }}
{{- with .Values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The reference of one image. Its context: the root and the name of the sidecar, in a list. */}}
{{- define "sidecars-platform.image" -}}
{{- $root := first . }}{{ $name := last . }}
{{- $registry := required "sidecars-platform: set registry, such as registry.example/sidecars: no registry is built in" $root.Values.registry }}
{{- with ($root.Values.global | default dict).imageRegistry }}
{{- $path := regexReplaceAll "^([^/]*[.:][^/]*|localhost)(/|$)" $registry "" }}
{{- $registry = list . $path | compact | join "/" }}
{{- end }}
{{- $registry }}/{{ $name }}
{{- with get $root.Values.digests $name }}@{{ . }}{{ else }}:{{ $root.Values.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}
