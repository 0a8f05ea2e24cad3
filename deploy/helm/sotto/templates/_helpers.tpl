{{- define "sotto.labels" -}}
app.kubernetes.io/name: sotto
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* The labels of one role: (list . "ingest") */ -}}
{{- define "sotto.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: sotto
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* The pod of one role: (list . "ingest") */ -}}
{{- define "sotto.pod" -}}
{{- $root := index . 0 -}}
{{- $role := index . 1 -}}
{{- $values := index $root.Values $role -}}
metadata:
  labels:
    {{- include "sotto.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $role }}
  annotations:
    checksum/config: {{ include (print $root.Template.BasePath "/config.yaml") $root | sha256sum }}
spec:
  # longer than limits.drain_seconds, so that running utterances end
  terminationGracePeriodSeconds: 60
  automountServiceAccountToken: false
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
          {{- include "sotto.selector" . | nindent 10 }}
  containers:
    - name: sotto
      image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}"
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: ["--config", "/etc/sotto/sotto.toml", "serve", "--roles", {{ $role | quote }}]
      env:
        - name: SOTTO_KAFKA_PASSWORD
          valueFrom: {secretKeyRef: {name: {{ $root.Values.secret }}, key: KAFKA_PASSWORD, optional: true}}
        - name: SOTTO_SCYLLA_PASSWORD
          valueFrom: {secretKeyRef: {name: {{ $root.Values.secret }}, key: SCYLLA_PASSWORD, optional: true}}
      ports:
        {{- if eq $role "ingest" }}
        - {name: calls, containerPort: 7300}
        {{- end }}
        - {name: api, containerPort: 7301}
      startupProbe:
        httpGet: {path: /readyz, port: api{{ if $root.Values.tlsSecret }}, scheme: HTTPS{{ end }}}
        periodSeconds: 2
        failureThreshold: 60
      readinessProbe:
        httpGet: {path: /readyz, port: api{{ if $root.Values.tlsSecret }}, scheme: HTTPS{{ end }}}
        periodSeconds: 5
      livenessProbe:
        httpGet: {path: /livez, port: api{{ if $root.Values.tlsSecret }}, scheme: HTTPS{{ end }}}
        periodSeconds: 10
        failureThreshold: 6
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: data, mountPath: /var/lib/sotto}
        - {name: config, mountPath: /etc/sotto, readOnly: true}
        - {name: root-key, mountPath: /etc/sotto-key, readOnly: true}
        {{- if $root.Values.tlsSecret }}
        - {name: tls, mountPath: /etc/sotto-tls, readOnly: true}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ $root.Release.Name }}-config}
    - name: root-key
      secret:
        secretName: {{ $root.Values.secret }}
        defaultMode: 0400
        items: [{key: root.key, path: root.key}]
    {{- if $root.Values.tlsSecret }}
    - name: tls
      secret: {secretName: {{ $root.Values.tlsSecret }}, defaultMode: 0400}
    {{- end }}
    {{- if ne $role "ingest" }}
    # keys and people come from the other nodes
    - name: data
      emptyDir: {}
    {{- end }}
{{- end }}
