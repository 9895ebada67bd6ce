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
{{- else if eq .sidecar "warcopier" }}
{{- fail "sidecars: set sidecars.warcopier.image to the image that has your WAR" }}
{{- else }}
{{- $registry := required "sidecars: set sidecars.registry, such as registry.example/sidecars: no registry is built in" $values.registry }}
{{- with (.root.Values.global | default dict).imageRegistry }}
{{- $path := regexReplaceAll "^([^/]*[.:][^/]*|localhost)(/|$)" $registry "" }}
{{- $registry = list . $path | compact | join "/" }}
{{- end }}
{{- $registry }}/{{ .sidecar }}
{{- with .own.digest }}@{{ . }}{{ else }}:{{ .own.tag | default $values.tag | default "0.1.0" }}{{ end }}
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
{{- range $sidecar := list "ambassador" "adapter" "logshipper" "warcopier" }}
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
{{- range $sidecar := list "ambassador" "adapter" "logshipper" "warcopier" }}
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
{{- range $sidecar := list "logshipper" }}
{{- $own := include "sidecars.own" (dict "root" $root "name" $name "values" $values "sidecar" $sidecar) | fromYaml }}
{{- if and $own.enabled (not (hasKey $context "fsGroup")) }}
{{- $_ := set $context "fsGroup" 65532 }}
{{- end }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{/* A ConfigMap for each sidecar of a workload that has `settings`. */}}
{{- define "sidecars.configMap" -}}
{{- $root := .root }}{{ $name := .name }}{{ $values := .values }}
{{- range $sidecar := list "ambassador" "adapter" "logshipper" "warcopier" }}
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

{{- define "sidecars.ambassador.container" -}}
{{- $resources := fromJson `{"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "320Mi"}}` }}
- name: ambassador
  image: {{ include "sidecars.image" . }}
  imagePullPolicy: IfNotPresent
  restartPolicy: Always
  envFrom:
    {{- if .own.settings }}
    - configMapRef: {name: {{ include "sidecars.configMapName" . }}}
    {{- else }}
    - configMapRef: {name: {{ .own.configMap }}, optional: false}
    {{- end }}
    {{- with .own.envFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    {{- if not (include "sidecars.given" (dict "own" .own "variable" "AMBASSADOR_MAX_CONNECTIONS")) }}
    - {name: AMBASSADOR_MAX_CONNECTIONS, value: "256"}
    {{- end }}
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    {{- with .own.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports: [{name: adm-ambassador, containerPort: 9913}]
{{- if .own.probes }}
  startupProbe: {httpGet: {path: /livez, port: adm-ambassador}, periodSeconds: 1, failureThreshold: 30}
  livenessProbe: {httpGet: {path: /livez, port: adm-ambassador}}
  readinessProbe: {httpGet: {path: /readyz, port: adm-ambassador}, periodSeconds: 5}
{{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 64913
    runAsGroup: 64913
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  resources:
    {{- toYaml (.own.resources | default $resources) | nindent 4 }}
{{- with .own.volumeMounts }}
  volumeMounts:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "sidecars.ambassador.volumes" -}}

{{- end }}

{{- define "sidecars.ambassador.check" -}}
{{- $known := "AMBASSADOR_LISTEN AMBASSADOR_UPSTREAM AMBASSADOR_PROTOCOL AMBASSADOR_BALANCE AMBASSADOR_SLOW_START AMBASSADOR_HEALTH_PATH AMBASSADOR_HEALTH_GRPC AMBASSADOR_HEALTH_INTERVAL AMBASSADOR_EJECT_AFTER AMBASSADOR_EJECT_FOR AMBASSADOR_MAX_EJECTED AMBASSADOR_PANIC_THRESHOLD AMBASSADOR_RETRIES AMBASSADOR_RETRY_ON AMBASSADOR_GRPC_RETRY_ON AMBASSADOR_GRPC_IDEMPOTENT AMBASSADOR_RETRY_BUDGET AMBASSADOR_RETRY_BUFFER AMBASSADOR_TRY_TIMEOUT AMBASSADOR_CONNECT_TIMEOUT AMBASSADOR_TIMEOUT AMBASSADOR_STREAM_IDLE_TIMEOUT AMBASSADOR_TOTAL_TIMEOUT AMBASSADOR_MAX_STREAM_AGE AMBASSADOR_IDLE_TIMEOUT AMBASSADOR_TUNNEL_IDLE_TIMEOUT AMBASSADOR_TCP_KEEPALIVE AMBASSADOR_RESOLV_CONF AMBASSADOR_DNS_MIN_TTL AMBASSADOR_DNS_MAX_TTL AMBASSADOR_MAX_CONNECTIONS AMBASSADOR_MAX_PENDING AMBASSADOR_MAX_HEADER_SIZE AMBASSADOR_MAX_HEADERS AMBASSADOR_HEADERS AMBASSADOR_HOST AMBASSADOR_ACCESS_LOG AMBASSADOR_EJECT_FAILURE_RATE AMBASSADOR_EJECT_VOLUME AMBASSADOR_ADAPTIVE_CONCURRENCY AMBASSADOR_MAX_REQUESTS AMBASSADOR_MAX_QUEUED AMBASSADOR_QUEUE_TIMEOUT AMBASSADOR_RATE_LIMIT AMBASSADOR_RATE_BURST AMBASSADOR_DEADLINE_HEADER AMBASSADOR_HEDGE_AFTER AMBASSADOR_MIRROR AMBASSADOR_MIRROR_LIMIT AMBASSADOR_MIRROR_MARK AMBASSADOR_PROXY AMBASSADOR_PROXY_PASSWORD AMBASSADOR_PROXY_CA AMBASSADOR_NO_PROXY AMBASSADOR_SEND_PROXY AMBASSADOR_TOKEN AMBASSADOR_AUTH AMBASSADOR_AUTH_AWS_SERVICE AMBASSADOR_AUTH_AWS_REGION AMBASSADOR_AUTH_AWS_PAYLOAD AMBASSADOR_AUTH_USERNAME AMBASSADOR_AUTH_PASSWORD AMBASSADOR_AUTH_SESSION_TOKEN AMBASSADOR_AUTH_AUDIENCE AMBASSADOR_AUTH_OAUTH_SCOPE AMBASSADOR_AUTH_OAUTH_TOKEN_URL AMBASSADOR_AUTH_OAUTH_CLIENT AMBASSADOR_AUTH_OAUTH_KEY AMBASSADOR_AUTH_OAUTH_KEY_ID AMBASSADOR_AUTH_OAUTH_KEY_AUDIENCE AMBASSADOR_AUTH_OAUTH_PARAMS AMBASSADOR_AUTH_OAUTH_CA AMBASSADOR_TLS_CA AMBASSADOR_TLS_CERT AMBASSADOR_TLS_KEY AMBASSADOR_TLS_SERVER_NAME AMBASSADOR_TLS_MIN_VERSION AMBASSADOR_TLS_ALPN AMBASSADOR_TLS_NEGOTIATION AMBASSADOR_ROUTE AMBASSADOR_STRIP_PREFIX AMBASSADOR_REWRITE_RESPONSES AMBASSADOR_TRACES AMBASSADOR_TRACES_RATIO AMBASSADOR_TRACES_ERRORS AMBASSADOR_TRACES_SLOW AMBASSADOR_REQUEST_ID_HEADER AMBASSADOR_ACCESS_LOG_FIELDS AMBASSADOR_WORKERS AMBASSADOR_BUFFER_MEMORY AMBASSADOR_DRAIN_QUIET AMBASSADOR_KUBERNETES_API AMBASSADOR_KUBERNETES_ACCOUNT AMBASSADOR_KUBERNETES_FAMILY AMBASSADOR_KUBERNETES_GRACE AMBASSADOR_TOPOLOGY_ZONE AZURE_CLIENT_ID AZURE_TENANT_ID AZURE_FEDERATED_TOKEN_FILE AZURE_AUTHORITY_HOST AZURE_POD_IDENTITY_AUTHORITY_HOST GCE_METADATA_HOST GOOGLE_APPLICATION_CREDENTIALS IDENTITY_ENDPOINT IDENTITY_HEADER AWS_REGION AWS_DEFAULT_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_ROLE_ARN AWS_ROLE_SESSION_NAME AWS_WEB_IDENTITY_TOKEN_FILE AWS_ENDPOINT_URL_STS AWS_SHARED_CREDENTIALS_FILE AWS_PROFILE AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_CONTAINER_AUTHORIZATION_TOKEN AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE AWS_EC2_METADATA_SERVICE_ENDPOINT AMBASSADOR_TRACES_ENDPOINT AMBASSADOR_TRACES_HEADERS AMBASSADOR_TRACES_CA AMBASSADOR_TRACES_SERVICE AMBASSADOR_LOG_LEVEL AMBASSADOR_LOG_FORMAT AMBASSADOR_CONFINEMENT AMBASSADOR_ADMIN_LISTEN AMBASSADOR_ADMIN_STATUS AMBASSADOR_ADMIN_SIBLINGS AMBASSADOR_DRAIN_TIMEOUT" }}
{{- $suffixes := "AUTH_OAUTH_KEY_AUDIENCE=UPSTREAM ADAPTIVE_CONCURRENCY=UPSTREAM AUTH_OAUTH_TOKEN_URL=UPSTREAM STREAM_IDLE_TIMEOUT=UPSTREAM TUNNEL_IDLE_TIMEOUT=UPSTREAM AUTH_SESSION_TOKEN=UPSTREAM EJECT_FAILURE_RATE=UPSTREAM ACCESS_LOG_FIELDS=UPSTREAM AUTH_OAUTH_CLIENT=UPSTREAM AUTH_OAUTH_KEY_ID=UPSTREAM AUTH_OAUTH_PARAMS=UPSTREAM REQUEST_ID_HEADER=UPSTREAM REWRITE_RESPONSES=UPSTREAM AUTH_AWS_PAYLOAD=UPSTREAM AUTH_AWS_SERVICE=UPSTREAM AUTH_OAUTH_SCOPE=UPSTREAM AUTH_AWS_REGION=UPSTREAM CONNECT_TIMEOUT=UPSTREAM DEADLINE_HEADER=UPSTREAM GRPC_IDEMPOTENT=UPSTREAM HEALTH_INTERVAL=UPSTREAM MAX_CONNECTIONS=UPSTREAM MAX_HEADER_SIZE=UPSTREAM PANIC_THRESHOLD=UPSTREAM TLS_MIN_VERSION=UPSTREAM TLS_NEGOTIATION=UPSTREAM TLS_SERVER_NAME=UPSTREAM AUTH_OAUTH_KEY=UPSTREAM MAX_STREAM_AGE=UPSTREAM PROXY_PASSWORD=UPSTREAM AUTH_AUDIENCE=UPSTREAM AUTH_OAUTH_CA=UPSTREAM AUTH_PASSWORD=UPSTREAM AUTH_USERNAME=UPSTREAM GRPC_RETRY_ON=UPSTREAM QUEUE_TIMEOUT=UPSTREAM TCP_KEEPALIVE=UPSTREAM TOTAL_TIMEOUT=UPSTREAM TRACES_ERRORS=UPSTREAM EJECT_VOLUME=UPSTREAM IDLE_TIMEOUT=UPSTREAM MAX_REQUESTS=UPSTREAM MIRROR_LIMIT=UPSTREAM RETRY_BUDGET=UPSTREAM RETRY_BUFFER=UPSTREAM STRIP_PREFIX=UPSTREAM TRACES_RATIO=UPSTREAM DNS_MAX_TTL=UPSTREAM DNS_MIN_TTL=UPSTREAM EJECT_AFTER=UPSTREAM HEALTH_GRPC=UPSTREAM HEALTH_PATH=UPSTREAM HEDGE_AFTER=UPSTREAM MAX_EJECTED=UPSTREAM MAX_HEADERS=UPSTREAM MAX_PENDING=UPSTREAM MIRROR_MARK=UPSTREAM RESOLV_CONF=UPSTREAM TRACES_SLOW=UPSTREAM TRY_TIMEOUT=UPSTREAM ACCESS_LOG=UPSTREAM MAX_QUEUED=UPSTREAM RATE_BURST=UPSTREAM RATE_LIMIT=UPSTREAM SEND_PROXY=UPSTREAM SLOW_START=UPSTREAM EJECT_FOR=UPSTREAM NO_PROXY=UPSTREAM PROTOCOL=UPSTREAM PROXY_CA=UPSTREAM RETRY_ON=UPSTREAM TLS_ALPN=UPSTREAM TLS_CERT=UPSTREAM UPSTREAM=UPSTREAM BALANCE=UPSTREAM HEADERS=UPSTREAM RETRIES=UPSTREAM TIMEOUT=UPSTREAM TLS_KEY=UPSTREAM LISTEN=UPSTREAM MIRROR=UPSTREAM TLS_CA=UPSTREAM TRACES=UPSTREAM PROXY=UPSTREAM ROUTE=UPSTREAM TOKEN=UPSTREAM AUTH=UPSTREAM HOST=UPSTREAM" }}
{{- include "sidecars.checkNames" (dict "own" .own "prefix" "AMBASSADOR_" "known" (splitList " " $known) "suffixes" (splitList " " $suffixes)) }}
{{- end }}

{{- define "sidecars.adapter.container" -}}
{{- $resources := fromJson `{"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "192Mi"}}` }}
- name: adapter
  image: {{ include "sidecars.image" . }}
  imagePullPolicy: IfNotPresent
  restartPolicy: Always
  envFrom:
    {{- if .own.settings }}
    - configMapRef: {name: {{ include "sidecars.configMapName" . }}}
    {{- else }}
    - configMapRef: {name: {{ .own.configMap }}, optional: true}
    {{- end }}
    {{- with .own.envFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    {{- with .own.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports: [{name: health, containerPort: 8081}, {name: adm-adapter, containerPort: 9914}]
{{- if .own.probes }}
  livenessProbe: {httpGet: {path: /livez, port: adm-adapter}}
  readinessProbe: {httpGet: {path: /readyz, port: adm-adapter}, periodSeconds: 5}
{{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 64914
    runAsGroup: 64914
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  resources:
    {{- toYaml (.own.resources | default $resources) | nindent 4 }}
  volumeMounts:
    - {name: adapter-rules, mountPath: /etc/adapter, readOnly: true}
    - {name: adapter-secrets, mountPath: /run/adapter, readOnly: true}
    {{- with .own.volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "sidecars.adapter.volumes" -}}
- {name: adapter-rules, configMap: {name: {{ .own.rules }}, optional: true}}
- {name: adapter-secrets, secret: {secretName: {{ .own.secret }}, optional: true}}
{{- end }}

{{- define "sidecars.adapter.check" -}}
{{- $known := "ADAPTER_LISTEN ADAPTER_TARGET ADAPTER_ROUTES ADAPTER_MODE ADAPTER_RULES ADAPTER_SELECT ADAPTER_STATUS_VALUES ADAPTER_VALID_STATUS_CODES ADAPTER_SOURCE_FORMAT ADAPTER_FORMAT ADAPTER_TIMEOUT ADAPTER_CACHE_TTL ADAPTER_MAX_BODY ADAPTER_MAX_SERIES ADAPTER_FAIL_AFTER ADAPTER_PASS_AFTER ADAPTER_GRACE ADAPTER_TARGET_CA ADAPTER_TARGET_CERT ADAPTER_TARGET_KEY ADAPTER_TARGET_TOKEN ADAPTER_TARGET_USERNAME ADAPTER_TARGET_PASSWORD ADAPTER_AGENT_LISTEN ADAPTER_TLS_CERT ADAPTER_TLS_KEY ADAPTER_CLIENT_CA ADAPTER_BASIC_AUTH ADAPTER_TOKEN ADAPTER_MAX_CONNECTIONS ADAPTER_LOG_LEVEL ADAPTER_LOG_FORMAT ADAPTER_CONFINEMENT ADAPTER_ADMIN_LISTEN ADAPTER_ADMIN_STATUS ADAPTER_ADMIN_SIBLINGS ADAPTER_DRAIN_TIMEOUT" }}
{{- $suffixes := "VALID_STATUS_CODES=TARGET TARGET_PASSWORD=TARGET TARGET_USERNAME=TARGET SOURCE_FORMAT=TARGET STATUS_VALUES=TARGET TARGET_TOKEN=TARGET TARGET_CERT=TARGET FAIL_AFTER=TARGET MAX_SERIES=TARGET PASS_AFTER=TARGET TARGET_KEY=TARGET CACHE_TTL=TARGET TARGET_CA=TARGET MAX_BODY=TARGET TIMEOUT=TARGET FORMAT=TARGET ROUTES=TARGET SELECT=TARGET TARGET=TARGET GRACE=TARGET RULES=TARGET MODE=TARGET" }}
{{- include "sidecars.checkNames" (dict "own" .own "prefix" "ADAPTER_" "known" (splitList " " $known) "suffixes" (splitList " " $suffixes)) }}
{{- end }}

{{- define "sidecars.logshipper.container" -}}
{{- $resources := fromJson `{"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "192Mi"}}` }}
- name: logshipper
  image: {{ include "sidecars.image" . }}
  imagePullPolicy: IfNotPresent
  restartPolicy: Always
  envFrom:
    {{- if .own.settings }}
    - configMapRef: {name: {{ include "sidecars.configMapName" . }}}
    {{- else }}
    - configMapRef: {name: {{ .own.configMap }}, optional: false}
    {{- end }}
    {{- with .own.envFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    {{- with .own.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports: [{name: adm-logshipper, containerPort: 9912}]
{{- if .own.probes }}
  startupProbe: {httpGet: {path: /readyz, port: adm-logshipper}, periodSeconds: 1, failureThreshold: 30}
  livenessProbe: {httpGet: {path: /livez, port: adm-logshipper}}
  readinessProbe: {httpGet: {path: /readyz, port: adm-logshipper}, periodSeconds: 5}
{{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 64912
    runAsGroup: 64912
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  resources:
    {{- toYaml (.own.resources | default $resources) | nindent 4 }}
  volumeMounts:
    - {name: {{ .own.volume }}, mountPath: /logs, readOnly: true}
    - {name: logshipper-state, mountPath: /state}
    {{- with .own.volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "sidecars.logshipper.volumes" -}}
- {name: logshipper-state, emptyDir: {sizeLimit: 256Mi}}
{{- end }}

{{- define "sidecars.logshipper.check" -}}
{{- $known := "LOGSHIPPER_PATHS LOGSHIPPER_EXCLUDE LOGSHIPPER_START_AT LOGSHIPPER_MAX_LINE_SIZE LOGSHIPPER_LONG_LINES LOGSHIPPER_FORMAT LOGSHIPPER_REGEX LOGSHIPPER_TIME_KEY LOGSHIPPER_TIME_FORMAT LOGSHIPPER_LEVEL_KEY LOGSHIPPER_MULTILINE LOGSHIPPER_MULTILINE_TIMEOUT LOGSHIPPER_LABELS LOGSHIPPER_REDACT LOGSHIPPER_KEEP LOGSHIPPER_DROP LOGSHIPPER_SAMPLE LOGSHIPPER_SAMPLE_KEY LOGSHIPPER_SAMPLE_EXCEPT LOGSHIPPER_COUNT LOGSHIPPER_RATE_LIMIT LOGSHIPPER_RATE_BURST LOGSHIPPER_RATE_LIMIT_KEY LOGSHIPPER_RATE_EXCESS LOGSHIPPER_RENAME LOGSHIPPER_COPY LOGSHIPPER_REMOVE LOGSHIPPER_ADD LOGSHIPPER_FLATTEN LOGSHIPPER_TIME_ZONE LOGSHIPPER_MESSAGE_KEY LOGSHIPPER_ENCODING LOGSHIPPER_READ_AT LOGSHIPPER_PATH_FIELDS LOGSHIPPER_FAIR_BY LOGSHIPPER_COMPRESSED LOGSHIPPER_IGNORE_OLDER LOGSHIPPER_SINK LOGSHIPPER_SINK_TOKEN LOGSHIPPER_SINK_USERNAME LOGSHIPPER_SINK_PASSWORD LOGSHIPPER_SINK_HEADERS LOGSHIPPER_SINK_CA LOGSHIPPER_SINK_CERT LOGSHIPPER_SINK_KEY LOGSHIPPER_SINK_ROTATE_SIZE LOGSHIPPER_SINK_ROTATE_COUNT LOGSHIPPER_COMPRESSION LOGSHIPPER_BATCH_SIZE LOGSHIPPER_BATCH_TIMEOUT LOGSHIPPER_REQUEST_TIMEOUT LOGSHIPPER_RETRY_MIN LOGSHIPPER_RETRY_MAX LOGSHIPPER_IN_FLIGHT LOGSHIPPER_ON_REJECT LOGSHIPPER_GIVE_UP_AFTER LOGSHIPPER_SINK_SCHEMA LOGSHIPPER_SINK_ACK LOGSHIPPER_SINK_INDEX LOGSHIPPER_SINK_SOURCETYPE LOGSHIPPER_SINK_MAX_MESSAGE LOGSHIPPER_SINK_BULK LOGSHIPPER_SINK_TRANSACTIONS LOGSHIPPER_SINK_TRANSACTIONAL_ID LOGSHIPPER_SINK_ACKS LOGSHIPPER_SINK_MESSAGE_KEY LOGSHIPPER_SINK_SASL LOGSHIPPER_SINK_REGION LOGSHIPPER_SINK_ENDPOINT LOGSHIPPER_SINK_OBJECT_KEY LOGSHIPPER_SINK_PATH_STYLE LOGSHIPPER_SINK_CONTENT_ENCODING LOGSHIPPER_SINK_CHECKSUM LOGSHIPPER_SINK_SSE LOGSHIPPER_SINK_SSE_KMS_KEY_ID LOGSHIPPER_SINK_STORAGE_CLASS LOGSHIPPER_SINK_TAGS LOGSHIPPER_SINK_ACL LOGSHIPPER_SINK_SESSION_TOKEN LOGSHIPPER_SINK_AUTH LOGSHIPPER_SINK_AWS_SERVICE LOGSHIPPER_SINK_OAUTH_TOKEN_URL LOGSHIPPER_SINK_OAUTH_CLIENT LOGSHIPPER_SINK_OAUTH_KEY LOGSHIPPER_SINK_OAUTH_KEY_ID LOGSHIPPER_SINK_OAUTH_KEY_AUDIENCE LOGSHIPPER_SINK_OAUTH_SCOPE LOGSHIPPER_SINK_LABELS LOGSHIPPER_SINK_METHOD LOGSHIPPER_SINK_ENCODING LOGSHIPPER_SINK_CONTENT_TYPE LOGSHIPPER_SINK_PROXY LOGSHIPPER_INPUTS LOGSHIPPER_SINK_KEEP LOGSHIPPER_SINK_DROP LOGSHIPPER_RETRY_LIMIT LOGSHIPPER_RETRY_MAX_AGE LOGSHIPPER_ISOLATE_AFTER LOGSHIPPER_LINK_ROOTS LOGSHIPPER_STATE_DIR LOGSHIPPER_SCAN_INTERVAL LOGSHIPPER_ROTATE_WAIT LOGSHIPPER_DELETE_DELIVERED LOGSHIPPER_DRAIN_QUIET LOGSHIPPER_DONE_FILE LOGSHIPPER_EXIT_WHEN_IDLE TZ OTEL_SERVICE_NAME OTEL_RESOURCE_ATTRIBUTES OTEL_EXPORTER_OTLP_HEADERS https_proxy http_proxy all_proxy no_proxy AZURE_CLIENT_ID AZURE_TENANT_ID AZURE_FEDERATED_TOKEN_FILE AZURE_AUTHORITY_HOST AZURE_POD_IDENTITY_AUTHORITY_HOST GCE_METADATA_HOST GOOGLE_APPLICATION_CREDENTIALS IDENTITY_ENDPOINT IDENTITY_HEADER AWS_REGION AWS_DEFAULT_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_ROLE_ARN AWS_ROLE_SESSION_NAME AWS_WEB_IDENTITY_TOKEN_FILE AWS_ENDPOINT_URL_STS AWS_SHARED_CREDENTIALS_FILE AWS_PROFILE AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_CONTAINER_AUTHORIZATION_TOKEN AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE AWS_EC2_METADATA_SERVICE_ENDPOINT LOGSHIPPER_TAIL_LISTEN LOGSHIPPER_TAIL_TOKEN LOGSHIPPER_MAX_OPEN_FILES LOGSHIPPER_CLOSE_INACTIVE LOGSHIPPER_MAX_HELD LOGSHIPPER_LOG_LEVEL LOGSHIPPER_LOG_FORMAT LOGSHIPPER_CONFINEMENT LOGSHIPPER_ADMIN_LISTEN LOGSHIPPER_ADMIN_STATUS LOGSHIPPER_ADMIN_SIBLINGS LOGSHIPPER_DRAIN_TIMEOUT" }}
{{- $suffixes := "SINK_OAUTH_KEY_AUDIENCE=SINK SINK_CONTENT_ENCODING=SINK SINK_TRANSACTIONAL_ID=SINK SINK_OAUTH_TOKEN_URL=SINK SINK_SSE_KMS_KEY_ID=SINK SINK_SESSION_TOKEN=SINK SINK_STORAGE_CLASS=SINK MULTILINE_TIMEOUT=PATHS SINK_CONTENT_TYPE=SINK SINK_OAUTH_CLIENT=SINK SINK_OAUTH_KEY_ID=SINK SINK_ROTATE_COUNT=SINK SINK_TRANSACTIONS=SINK SINK_AWS_SERVICE=SINK SINK_MAX_MESSAGE=SINK SINK_MESSAGE_KEY=SINK SINK_OAUTH_SCOPE=SINK SINK_ROTATE_SIZE=SINK REQUEST_TIMEOUT=SINK SINK_OBJECT_KEY=SINK SINK_PATH_STYLE=SINK SINK_SOURCETYPE=SINK RATE_LIMIT_KEY=PATHS SINK_OAUTH_KEY=SINK BATCH_TIMEOUT=SINK GIVE_UP_AFTER=SINK ISOLATE_AFTER=SINK MAX_LINE_SIZE=PATHS RETRY_MAX_AGE=SINK SAMPLE_EXCEPT=PATHS SINK_CHECKSUM=SINK SINK_ENCODING=SINK SINK_ENDPOINT=SINK SINK_PASSWORD=SINK SINK_USERNAME=SINK IGNORE_OLDER=PATHS SINK_HEADERS=SINK COMPRESSION=SINK MESSAGE_KEY=PATHS PATH_FIELDS=PATHS RATE_EXCESS=PATHS RETRY_LIMIT=SINK SINK_LABELS=SINK SINK_METHOD=SINK SINK_REGION=SINK SINK_SCHEMA=SINK TIME_FORMAT=PATHS BATCH_SIZE=SINK COMPRESSED=PATHS LONG_LINES=PATHS RATE_BURST=PATHS RATE_LIMIT=PATHS SAMPLE_KEY=PATHS SINK_INDEX=SINK SINK_PROXY=SINK SINK_TOKEN=SINK IN_FLIGHT=SINK LEVEL_KEY=PATHS MULTILINE=PATHS ON_REJECT=SINK RETRY_MAX=SINK RETRY_MIN=SINK SINK_ACKS=SINK SINK_AUTH=SINK SINK_BULK=SINK SINK_CERT=SINK SINK_DROP=SINK SINK_KEEP=SINK SINK_SASL=SINK SINK_TAGS=SINK TIME_ZONE=PATHS ENCODING=PATHS SINK_ACK=SINK SINK_ACL=SINK SINK_KEY=SINK SINK_SSE=SINK START_AT=PATHS TIME_KEY=PATHS EXCLUDE=PATHS FAIR_BY=PATHS FLATTEN=PATHS READ_AT=PATHS SINK_CA=SINK FORMAT=PATHS INPUTS=SINK LABELS=PATHS REDACT=PATHS REMOVE=PATHS RENAME=PATHS SAMPLE=PATHS COUNT=PATHS PATHS=PATHS REGEX=PATHS COPY=PATHS DROP=PATHS KEEP=PATHS SINK=SINK ADD=PATHS" }}
{{- include "sidecars.checkNames" (dict "own" .own "prefix" "LOGSHIPPER_" "known" (splitList " " $known) "suffixes" (splitList " " $suffixes)) }}
{{- end }}

{{- define "sidecars.warcopier.container" -}}
{{- $resources := fromJson `{"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}}` }}
- name: warcopier
  image: {{ include "sidecars.image" . }}
  imagePullPolicy: IfNotPresent
  envFrom:
    {{- if .own.settings }}
    - configMapRef: {name: {{ include "sidecars.configMapName" . }}}
    {{- else }}
    - configMapRef: {name: {{ .own.configMap }}, optional: true}
    {{- end }}
    {{- with .own.envFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 64911
    runAsGroup: 64911
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  resources:
    {{- toYaml (.own.resources | default $resources) | nindent 4 }}
  volumeMounts:
    - {name: {{ .own.volume }}, mountPath: /webapps}
    {{- with .own.volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- if .own.env }}
  env:
    {{- with .own.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "sidecars.warcopier.volumes" -}}

{{- end }}

{{- define "sidecars.warcopier.check" -}}
{{- $known := "WARCOPIER_SOURCE WARCOPIER_TARGET WARCOPIER_CONTEXT_PATH WARCOPIER_VERSION WARCOPIER_ALLOW_OLDER WARCOPIER_SHA256 WARCOPIER_REQUIRE_SHA256 WARCOPIER_DIGEST WARCOPIER_UNPACK WARCOPIER_VALIDATE WARCOPIER_MAX_UNPACKED_SIZE WARCOPIER_MAX_ENTRIES WARCOPIER_MAX_RATIO WARCOPIER_MODE WARCOPIER_OWNER WARCOPIER_OVERWRITE WARCOPIER_PRUNE WARCOPIER_RESERVE WARCOPIER_WATCH WARCOPIER_WATCH_INTERVAL WARCOPIER_LOG_LEVEL WARCOPIER_LOG_FORMAT WARCOPIER_CONFINEMENT WARCOPIER_ADMIN_LISTEN WARCOPIER_ADMIN_STATUS WARCOPIER_ADMIN_SIBLINGS WARCOPIER_DRAIN_TIMEOUT" }}
{{- $suffixes := "" }}
{{- include "sidecars.checkNames" (dict "own" .own "prefix" "WARCOPIER_" "known" (splitList " " $known) "suffixes" (splitList " " $suffixes)) }}
{{- end }}
