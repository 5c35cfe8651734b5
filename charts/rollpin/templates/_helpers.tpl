{{- define "rollpin.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "rollpin.selector" -}}
app.kubernetes.io/name: rollpin
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rollpin.labels" -}}
{{ include "rollpin.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "rollpin.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "rollpin.name" .) -}}
{{- end -}}

{{- define "rollpin.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "rollpin.otlpEndpoint" -}}
{{- .Values.otlp.endpoint | default (printf "http://%s-otlp.%s.svc:%v" (include "rollpin.name" .) .Release.Namespace .Values.otlp.httpPort) -}}
{{- end -}}

{{/* What the operator does in a namespace that it looks after: no more than this, and no secrets. */}}
{{- define "rollpin.rules" -}}
- apiGroups: [rollpin.dev]
  resources: [agentreleases]
  verbs: [get, list, watch]
- apiGroups: [rollpin.dev]
  resources: [agentreleases/status]
  verbs: [update]
# Owner references that block the deletion of their owner need this.
- apiGroups: [rollpin.dev]
  resources: [agentreleases/finalizers]
  verbs: [update]
- apiGroups: [rollpin.dev]
  resources: [agentrevisions]
  verbs: [get, list, watch, create, delete]
- apiGroups: [rollpin.dev]
  resources: [agentrevisions/status, releasecommands/status, evidenceledgers/status]
  verbs: [patch]
- apiGroups: [rollpin.dev]
  resources: [releasecommands]
  verbs: [list, watch]
- apiGroups: [rollpin.dev]
  resources: [evidenceledgers]
  verbs: [get, list, create]
- apiGroups: [rollpin.dev]
  resources: [decisionrecords]
  verbs: [get, create]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
