package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"

	"switchyard/asl/api"
	"switchyard/asl/api/sigv4"
)

const (
	keyID  = "SWITCHYARDKEY"
	secret = "a secret that nobody guesses"
)

// door returns a server on a port that takes requests signed with the key.
func door(t *testing.T) (url string, s *api.Server) {
	t.Helper()
	s = serve(t)
	v, err := sigv4.New(sigv4.Config{Service: "states", Keys: []sigv4.Key{{ID: keyID, Secret: secret}}, KeysAt: "Export the keys of /data/engine.keys."})
	if err != nil {
		t.Fatal(err)
	}
	d, err := api.NewDoor(s, api.DoorConfig{Verifier: v, Hosts: []string{"Engine.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(d)
	t.Cleanup(web.Close)
	return web.URL, s
}

func keyed(endpoint, id, secret, token string) *sfn.Client {
	return sfn.New(sfn.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(endpoint), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
	})
}

func TestDoorTakesTheSDKWithTheKey(t *testing.T) {
	url, s := door(t)
	lifeCycle(t, keyed(url, keyID, secret, ""), "a")
	// In process nothing is signed for.
	lifeCycle(t, client(s.Transport(), "http://engine.invalid"), "b")
}

// What the caller does about a refusal depends on its code, which must be what
// AWS says.
func TestDoorAnswersTheSDKAsAWSDoes(t *testing.T) {
	url, _ := door(t)
	for name, tc := range map[string]struct {
		client     *sfn.Client
		code, says string
	}{
		"another key":    {keyed(url, "AKIDEXAMPLE", secret, ""), "UnrecognizedClientException", "The security token included in the request is invalid: the access key \"AKIDEXAMPLE\" is not known here. Export the keys of /data/engine.keys."},
		"another secret": {keyed(url, keyID, "guess", ""), "InvalidSignatureException", "does not match"},
		"a token":        {keyed(url, keyID, secret, "session"), "UnrecognizedClientException", "AWS_SESSION_TOKEN"},
	} {
		_, err := tc.client.ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{})
		var answered smithy.APIError
		if !errors.As(err, &answered) || answered.ErrorCode() != tc.code || !strings.Contains(answered.ErrorMessage(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// call sends an action without signing it.
func call(t *testing.T, url, host string, header map[string]string) (status int, code string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("X-Amz-Target", "AWSStepFunctions.ListStateMachines")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Type string `json:"__type"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer.Type
}

// A page whose server says that its name is this machine's address reaches the
// port from a browser, under that name.
func TestDoorKnowsItsNames(t *testing.T) {
	url, _ := door(t)
	addr := strings.TrimPrefix(url, "http://")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for host, known := range map[string]bool{
		addr: true, "localhost:" + port: true, "LOCALHOST": true, "localhost.": true, "127.8.9.1:1": true, "[::1]:" + port: true,
		"engine.example.com": true, "ENGINE.example.com.:443": true,
		"evil.example": false, "evil.example:" + port: false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"10.0.0.1": false, "0.0.0.0:" + port: false, "[::]:" + port: false, "example.com": false, "localhost@evil.example": false, "2130706433": false,
	} {
		status, code := call(t, url, host, nil)
		if known && code != "MissingAuthenticationTokenException" || !known && (status != http.StatusForbidden || code != "AccessDeniedException") {
			t.Errorf("Host %s: %d %s", host, status, code)
		}
	}
}

// Also where any signature will do, a web page may not call.
func TestDoorWithoutKeys(t *testing.T) {
	d, err := api.NewDoor(serve(t), api.DoorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(d)
	defer web.Close()
	lifeCycle(t, keyed(web.URL, "any", "thing", "token"), "a")
	for name, tc := range map[string]struct {
		host   string
		header map[string]string
		status int
	}{
		"unsigned":           {"", nil, http.StatusOK},
		"charset":            {"", map[string]string{"Content-Type": "application/x-amz-json-1.0; charset=utf-8"}, http.StatusOK},
		"rebound":            {"evil.example", nil, http.StatusForbidden},
		"an origin":          {"", map[string]string{"Origin": "http://evil.example"}, http.StatusForbidden},
		"the null origin":    {"", map[string]string{"Origin": "null"}, http.StatusForbidden},
		"its own origin":     {"", map[string]string{"Origin": web.URL}, http.StatusForbidden},
		"a browser's fetch":  {"", map[string]string{"Sec-Fetch-Site": "same-origin"}, http.StatusForbidden},
		"a form":             {"", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType},
		"a form with files":  {"", map[string]string{"Content-Type": "multipart/form-data; boundary=x"}, http.StatusUnsupportedMediaType},
		"text":               {"", map[string]string{"Content-Type": "text/plain"}, http.StatusUnsupportedMediaType},
		"text in disguise":   {"", map[string]string{"Content-Type": "text/plain; application/x-amz-json-1.0"}, http.StatusUnsupportedMediaType},
		"a blob of no type":  {"", map[string]string{"Content-Type": ""}, http.StatusUnsupportedMediaType},
		"no such media type": {"", map[string]string{"Content-Type": "application/x-amz-json-1.0, text/plain"}, http.StatusUnsupportedMediaType},
	} {
		if status, code := call(t, web.URL, tc.host, tc.header); status != tc.status {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
}
