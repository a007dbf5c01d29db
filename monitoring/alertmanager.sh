#!/bin/sh
# Prints the configuration of Alertmanager. Nothing is sent anywhere until one of these is set:
#
#   ALERT_EMAIL_TO         email, with ALERT_SMTP_SMARTHOST (host:port), ALERT_SMTP_FROM,
#                          and where needed ALERT_SMTP_USERNAME, ALERT_SMTP_PASSWORD, ALERT_SMTP_REQUIRE_TLS (true)
#   ALERT_SLACK_URL        Slack's incoming webhook, and where needed ALERT_SLACK_CHANNEL
#   ALERT_SMS_WEBHOOK_URL  a gateway that takes Alertmanager's webhook and sends an SMS: only for severity page
#
# Each may be given as NAME_FILE instead: a file that holds it. Emails and Slack get both severities.
set -eu

# What a variable or its file holds, as a scalar of YAML that nothing can break out of; nothing if it is not set.
scalar() {
    eval "file=\${$1_FILE:-} text=\${$1:-}"
    if [ -n "$file" ]; then text=$(cat "$file") || return 1; fi
    case $text in
    *[[:cntrl:]]*)
        echo "$1 must be a single line." >&2
        return 1
        ;;
    '') ;;
    *) printf "'%s'" "$(printf %s "$text" | sed "s/'/''/g")" ;;
    esac
}

for name in ALERT_EMAIL_TO ALERT_SMTP_SMARTHOST ALERT_SMTP_FROM ALERT_SMTP_USERNAME ALERT_SMTP_PASSWORD \
    ALERT_SLACK_URL ALERT_SLACK_CHANNEL ALERT_SMS_WEBHOOK_URL; do
    eval "$name=\$(scalar $name)"
done

if [ -n "$ALERT_EMAIL_TO" ] && { [ -z "$ALERT_SMTP_SMARTHOST" ] || [ -z "$ALERT_SMTP_FROM" ]; }; then
    echo "ALERT_EMAIL_TO needs ALERT_SMTP_SMARTHOST and ALERT_SMTP_FROM." >&2
    exit 1
fi

case ${ALERT_SMTP_REQUIRE_TLS:=true} in
true | false) ;;
*)
    echo "ALERT_SMTP_REQUIRE_TLS must be true or false." >&2
    exit 1
    ;;
esac

cat <<'END'
route:
  receiver: team
  group_by: [alertname, function]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    - {receiver: sms, matchers: ['severity = "page"'], continue: true}
    - {receiver: team}

# Who has been told the one need not be told the other.
inhibit_rules:
  - source_matchers: ['alertname = "FunctionDown"']
    target_matchers: ['alertname =~ "InstanceDown|ErrorBudgetBurns.+|Latency.+"']
    equal: [function]
  - source_matchers: ['alertname = "ErrorBudgetBurnsFast"']
    target_matchers: ['alertname = "ErrorBudgetBurnsSlowly"']
    equal: [function]
  - source_matchers: ['alertname = "LatencyP95High"']
    target_matchers: ['alertname = "LatencyP99High"']
    equal: [function, path]
  - source_matchers: ['alertname = "CertificateExpires"']
    target_matchers: ['alertname = "CertificateExpiresSoon"']
    equal: [instance]

receivers:
  - name: team
END
if [ -n "$ALERT_EMAIL_TO" ]; then
    cat <<END
    email_configs:
      - to: $ALERT_EMAIL_TO
        from: $ALERT_SMTP_FROM
        smarthost: $ALERT_SMTP_SMARTHOST
        auth_username: $ALERT_SMTP_USERNAME
        auth_password: $ALERT_SMTP_PASSWORD
        require_tls: $ALERT_SMTP_REQUIRE_TLS
        send_resolved: true
END
fi
if [ -n "$ALERT_SLACK_URL" ]; then
    cat <<END
    slack_configs:
      - api_url: $ALERT_SLACK_URL
        channel: $ALERT_SLACK_CHANNEL
        title: '{{ .Status | toUpper }}: {{ .GroupLabels.SortedPairs.Values | join " " }}'
        text: "{{ range .Alerts }}{{ .Annotations.summary }} ({{ .Annotations.runbook }})\n{{ end }}"
        send_resolved: true
END
fi
echo "  - name: sms"
if [ -n "$ALERT_SMS_WEBHOOK_URL" ]; then
    cat <<END
    webhook_configs:
      - url: $ALERT_SMS_WEBHOOK_URL
        send_resolved: true
END
fi
