{{- define "timbre.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Labels by which pods are chosen: (list . "gateway") */}}
{{- define "timbre.selector" -}}
app.kubernetes.io/name: timbre
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "timbre.labels" -}}
{{ include "timbre.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end }}

{{/* Of gateways and workers alike: the pod but for its containers. (list . "gateway") */}}
{{- define "timbre.pod" -}}
{{- $root := index . 0 -}}
automountServiceAccountToken: false
# Its variables would be named as ours.
enableServiceLinks: false
# Longer than the drain and `grace` together.
terminationGracePeriodSeconds: {{ add $root.Values.drain $root.Values.grace 15 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "timbre.selector" . | nindent 8 }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: work
    emptyDir: {sizeLimit: 1Gi}
  - name: cache
    emptyDir: {sizeLimit: 2Gi}
  - name: tmp
    emptyDir: {sizeLimit: 1Gi}
  {{- with $root.Values.artefacts.claim }}
  - name: artefacts
    persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}
  {{- end }}
  {{- if and (eq (index . 1) "gateway") (eq $root.Values.keys.source "file") }}
  - name: keys
    secret: {secretName: {{ $root.Values.keys.secret }}, defaultMode: 0440}
  {{- end }}
{{- end }}

{{/* The container but for its command and probes. */}}
{{- define "timbre.container" -}}
{{- $root := index . 0 -}}
image: {{ $root.Values.image.repository }}{{ with $root.Values.image.tag }}{{ ternary . (printf ":%s" .) (hasPrefix "@" .) }}{{ else }}:{{ $root.Chart.AppVersion }}{{ end }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
env:
  - name: TIMBRE_REDIS
    valueFrom:
      secretKeyRef: {name: {{ $root.Values.redis.secret }}, key: url}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: work, mountPath: /var/lib/timbre}
  - {name: cache, mountPath: /var/cache/timbre}
  - {name: tmp, mountPath: /tmp}
  {{- if $root.Values.artefacts.claim }}
  - {name: artefacts, mountPath: /artefacts, readOnly: true}
  {{- end }}
  {{- if and (eq (index . 1) "gateway") (eq $root.Values.keys.source "file") }}
  - {name: keys, mountPath: /etc/timbre, readOnly: true}
  {{- end }}
{{- end }}

{{/* Options of both commands. */}}
{{- define "timbre.options" -}}
- --metrics-port=8002
- --set=metrics_host=0.0.0.0
# Prometheus sends no key to that port: networkPolicy.monitoring says who reaches it.
- --set=insecure=true
- --set=log_format=json
- --set=grace={{ .Values.grace }}
{{- if .Values.artefacts.claim }}
- --artefacts=/artefacts
{{- end }}
{{- range $name, $value := .Values.settings }}
# As JSON: a template would write 33554432 as 3.3554432e+07.
- {{ printf "--set=%s=%s" $name (ternary $value (toJson $value) (kindIs "string" $value)) | quote }}
{{- end }}
{{- end }}
