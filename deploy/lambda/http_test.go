package lambda_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"switchyard/deploy/lambda"
)

// echo answers with what it was asked.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Add("X-Two", "1")
	w.Header().Add("X-Two", "2")
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, "%s %s?%s %s from %s: %s %q", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Host, r.RemoteAddr, strings.Join(r.Header.Values("X-Hub-Signature-256"), "+"), body)
})

func TestRequestsOfEveryFrontAreTheSame(t *testing.T) {
	const body = "payload=%7B%7D\n\xff\x00ü"
	binary := base64.StdEncoding.EncodeToString([]byte(body))
	single, multi := map[string]string{"host": "h", "x-hub-signature-256": "sha256=ab"}, map[string][]string{"Host": {"h"}, "X-Hub-Signature-256": {"sha256=ab"}}
	v2 := func(path, stage string) map[string]any {
		return map[string]any{"version": "2.0", "rawPath": path, "rawQueryString": "a=1&b=%20", "headers": single, "isBase64Encoded": true, "body": binary,
			"requestContext": map[string]any{"stage": stage, "http": map[string]any{"method": "POST", "path": path, "sourceIp": "192.0.2.1"}}}
	}
	elb := map[string]any{"elb": map[string]any{"targetGroupArn": "arn:aws:elasticloadbalancing:x"}}
	identity := map[string]any{"stage": "prod", "identity": map[string]any{"sourceIp": "192.0.2.1"}}
	for name, row := range map[string]struct {
		event map[string]any
		query string
	}{
		"function URL":                   {v2("/webhooks/git%20hub", "$default"), "a=1&b=%20"},
		"API Gateway 2.0 with a stage":   {v2("/prod/webhooks/git%20hub", "prod"), "a=1&b=%20"},
		"API Gateway 2.0, own domain":    {v2("/webhooks/git%20hub", "prod"), "a=1&b=%20"},
		"API Gateway 1.0":                {map[string]any{"resource": "/{proxy+}", "httpMethod": "POST", "path": "/webhooks/git%20hub", "headers": single, "multiValueHeaders": multi, "multiValueQueryStringParameters": map[string][]string{"b": {"x y", "ä"}}, "body": binary, "isBase64Encoded": true, "requestContext": identity}, "b=x+y&b=%C3%A4"},
		"load balancer":                  {map[string]any{"httpMethod": "POST", "path": "/webhooks/git%20hub", "headers": single, "queryStringParameters": map[string]string{"b": "x%20y"}, "body": binary, "isBase64Encoded": true, "requestContext": elb}, "b=x%20y"},
		"load balancer, multiple values": {map[string]any{"httpMethod": "POST", "path": "/webhooks/git%20hub", "multiValueHeaders": multi, "multiValueQueryStringParameters": map[string][]string{"b": {"1", "2"}}, "body": binary, "isBase64Encoded": true, "requestContext": elb}, "b=1&b=2"},
	} {
		t.Run(name, func(t *testing.T) {
			got := invoke(t, row.event)
			from := " from 192.0.2.1:0: "
			if strings.HasPrefix(name, "load balancer") {
				from = " from : "
			}
			want := "POST /webhooks/git%20hub?" + row.query + " h" + from + "sha256=ab " + fmt.Sprintf("%q", body)
			if d := cmp.Diff(want, got.Body); d != "" || got.StatusCode != http.StatusAccepted || got.IsBase64Encoded {
				t.Errorf("status %d, body (-want +got):\n%s", got.StatusCode, d)
			}
			_, many := row.event["multiValueHeaders"]
			if many && (got.MultiValueHeaders == nil || got.Headers != nil) || !many && (got.Headers["X-Two"] != "1,2" || got.MultiValueHeaders != nil) {
				t.Errorf("headers %v, %v: not in the form of the request", got.Headers, got.MultiValueHeaders)
			}
			if described := got.StatusDescription == "202 Accepted"; described != strings.HasPrefix(name, "load balancer") {
				t.Errorf("status description %q", got.StatusDescription)
			}
		})
	}
}

type answer struct {
	StatusCode        int
	StatusDescription string
	Headers           map[string]string
	MultiValueHeaders map[string][]string
	Body              string
	IsBase64Encoded   bool
}

func invoke(t *testing.T, event map[string]any) (got answer) {
	t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	f := lambda.Function{HTTP: echo, Log: zap.NewNop()}
	text, err := f.Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRequestsThatAreNoneAreRefused(t *testing.T) {
	for name, event := range map[string]map[string]any{
		"no path":      {"version": "2.0", "requestContext": map[string]any{"http": map[string]any{"method": "POST"}}},
		"not base64":   {"version": "2.0", "rawPath": "/x", "isBase64Encoded": true, "body": "%", "requestContext": map[string]any{"http": map[string]any{"method": "POST"}}},
		"not a path":   {"httpMethod": "POST", "path": "webhooks", "requestContext": map[string]any{"stage": "x"}},
		"broken quote": {"httpMethod": "POST", "path": "/%zz", "requestContext": map[string]any{"stage": "x"}},
	} {
		if got := invoke(t, event); got.StatusCode != http.StatusBadRequest || !json.Valid([]byte(got.Body)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	f := lambda.Function{Log: zap.NewNop()}
	for _, payload := range []string{`{`, `{}`, `{"source":"aws.ec2"}`, `{"Records":[{"eventSource":"aws:s3"}]}`, `{"CodePipeline.job":{"id":"x"}}`} {
		if out, err := f.Invoke(t.Context(), []byte(payload)); err == nil {
			t.Errorf("%s was taken: %s", payload, out)
		}
	}
}
