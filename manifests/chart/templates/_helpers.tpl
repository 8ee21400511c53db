{{/* As manifests/base labels everything. */}}
{{- define "kubenatd.labels" -}}
k8s-app: kubenatd
{{- end }}

{{/* The file that --config names: a KubeProxyConfiguration and, where something of it is set, a KubenatdConfiguration. */}}
{{- define "kubenatd.config" -}}
{{- $options := dict "masqueradeAll" .Values.masqueradeAll }}
{{- $config := dict "apiVersion" "kubeproxy.config.k8s.io/v1alpha1" "kind" "KubeProxyConfiguration" }}
{{- $_ := set $config "mode" .Values.mode }}
{{- $_ := set $config "clusterCIDR" .Values.clusterCIDR }}
{{- if eq .Values.mode "iptables" }}
{{- $_ := set $options "localhostNodePorts" .Values.localhostNodePorts }}
{{- end }}
{{- $_ := set $config .Values.mode $options }}
{{- with .Values.nodePortAddresses }}{{ $_ := set $config "nodePortAddresses" . }}{{ end }}
{{- with .Values.metricsBindAddress }}{{ $_ := set $config "metricsBindAddress" . }}{{ end }}
{{- $logging := dict }}
{{- if ne .Values.log.format "text" }}{{ $_ := set $logging "format" .Values.log.format }}{{ end }}
{{- with .Values.log.verbosity }}{{ $_ := set $logging "verbosity" (int .) }}{{ end }}
{{- with $logging }}{{ $_ := set $config "logging" . }}{{ end }}
{{- toYaml (mergeOverwrite $config (deepCopy .Values.config)) }}
{{- $own := dict }}
{{- if ne .Values.hostPorts "auto" }}{{ $_ := set $own "hostPorts" .Values.hostPorts }}{{ end }}
{{- with .Values.fastPath }}{{ $_ := set $own "fastPath" . }}{{ end }}
{{- if ne .Values.page "off" }}{{ $_ := set $own "page" .Values.page }}{{ end }}
{{- if ne .Values.pageTrace "off" }}{{ $_ := set $own "pageTrace" .Values.pageTrace }}{{ end }}
{{- with mergeOverwrite $own (deepCopy .Values.settings) }}
---
{{ toYaml (merge (dict "apiVersion" "kubenatd.io/v1alpha1" "kind" "KubenatdConfiguration") .) }}
{{- end }}
{{- end }}

{{/* The port of the API server, as text. */}}
{{- define "kubenatd.apiServerPort" -}}
{{ .Values.apiServer.port | default "6443" | toString }}
{{- end }}
