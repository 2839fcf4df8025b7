# Prints the requests a second of each ten seconds in CloudWatch's embedded metric format. Asks ADDRESS for a count:
# nginx's, or with COUNTER that one of Prometheus' text format. What cannot be read is said, and no metric.
total() {
  awk -v counter="$COUNTER" '
    counter == "" && /^server accepts handled requests/ { getline; total = $3; found = 1 }
    counter != "" && index($0, counter) == 1 {
      line = substr($0, length(counter) + 1)
      if (line ~ /^[{ \t]/) { sub(/^[{].*[}]/, "", line); split(line, words); total += words[1]; found = 1 }
    }
    END { if (found) printf "%.0f", total }'
}
# nginx counts what asks it, too.
own=$([ -n "$COUNTER" ] && echo 0 || echo 1)
while sleep $((10 - $(date +%s) % 10)); do
  count=$(wget -q -T 5 -O - "$ADDRESS" | total)
  now=$(($(date +%s) / 10 * 10))
  if [ -z "$count" ]; then
    echo "no count of requests at $ADDRESS" >&2
  elif [ -n "$before" ]; then
    # One that is less has begun anew.
    rate=$(awk -v a="$before" -v b="$count" -v own="$own" -v s=$((now - since)) \
      'BEGIN { n = b - (b < a ? 0 : a) - own; printf "%.2f", (n > 0 ? n : 0) / s }')
    printf '{"_aws":{"Timestamp":%s000,"CloudWatchMetrics":[{"Namespace":"Pulse","Dimensions":[["Service"]],"Metrics":[{"Name":"RequestsPerSecond","Unit":"Count/Second","StorageResolution":1}]}]},"Service":"%s","RequestsPerSecond":%s}\n' \
      $((now - 10)) "$PULSE_SERVICE" "$rate"
  fi
  [ -n "$count" ] && before=$count since=$now
done
