package stepfn

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"switchyard/internal/awsaccess"
	"switchyard/internal/awstest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go/middleware"
)

func dialed(t *testing.T, access Access) *Client {
	t.Helper()
	dial, err := Dial(t.Context(), access)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(dial, Config{StateMachines: map[string]Machine{"deploy": {ARN: deployARN}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDialSignsAndTriesOnce(t *testing.T) {
	awstest.Isolate(t)
	fake := &fakeAPI{t: t, answers: map[string]answer{"StartExecution": apiError(500, "InternalServerError", "m")}}
	server := httptest.NewServer(fake)
	defer server.Close()
	c := dialed(t, Access{Settings: awsaccess.Settings{Region: "eu-west-1"}, Endpoint: server.URL})
	if _, err := c.Start(t.Context(), "deploy", "x", []byte("{}")); err == nil {
		t.Error("no error from a server that answers 500")
	}
	calls := fake.seen()
	if len(calls) != 1 {
		t.Fatalf("%d attempts, want 1", len(calls))
	}
	if got := calls[0].Header.Get("Authorization"); !strings.Contains(got, "AKIDEXAMPLE/") || !strings.Contains(got, "/us-east-1/states/aws4_request") {
		t.Errorf("Authorization = %q, want a signature for the region of the ARN", got)
	}
}

func TestDialTrustsCABundle(t *testing.T) {
	awstest.Isolate(t)
	fake := &fakeAPI{t: t, answers: map[string]answer{"StartExecution": {body: `{"executionArn":"` + executionARN + `","startDate":1}`}}}
	server := httptest.NewTLSServer(fake)
	defer server.Close()
	cfg := Access{Endpoint: server.URL}

	if _, err := dialed(t, cfg).Start(t.Context(), "deploy", "x", []byte("{}")); err == nil {
		t.Fatal("a certificate that nobody vouches for was accepted")
	}
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(bundle, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", bundle)
	if _, err := dialed(t, cfg).Start(t.Context(), "deploy", "x", []byte("{}")); err != nil {
		t.Errorf("with AWS_CA_BUNDLE: %v", err)
	}
}

func TestDialSaysWhatIsMissing(t *testing.T) {
	awstest.Isolate(t)
	if _, err := Dial(t.Context(), Access{Settings: awsaccess.Settings{Profile: "missing"}}); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("with a profile that does not exist: %v, want its name", err)
	}
}

func TestEmbeddedCallsAreUnsigned(t *testing.T) {
	c, fake := newFake(t, map[string]answer{"StopExecution": {body: `{"stopDate":1}`}})
	if err := c.Stop(t.Context(), executionARN, "", ""); err != nil {
		t.Fatal(err)
	}
	if got := fake.seen()[0].Header.Get("Authorization"); got != "" {
		t.Errorf("Authorization = %q, want none", got)
	}
}

// An SDK that renames a middleware would silently cost speed.
func TestSparedMiddlewaresExist(t *testing.T) {
	var before, after []string
	api := sfn.New(sfn.Options{Region: EmbeddedRegion, HTTPClient: doer{hang}, Credentials: aws.AnonymousCredentials{}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := api.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(deployARN)}, sfn.WithAPIOptions(
		func(s *middleware.Stack) error { before = s.Finalize.List(); return nil },
		spare,
		func(s *middleware.Stack) error { after = s.Finalize.List(); return nil },
	))
	if err == nil {
		t.Fatal("a cancelled call succeeded")
	}
	for _, id := range spared {
		if !slices.Contains(before, id) {
			t.Errorf("the SDK has no middleware %s any more: %v", id, before)
		}
		if slices.Contains(after, id) {
			t.Errorf("%s is still there: %v", id, after)
		}
	}
}

// canned answers a start at no cost of its own.
var canned = roundTripFunc(func(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:       io.NopCloser(strings.NewReader(`{"executionArn":"` + executionARN + `","startDate":1.7e9}`)),
		Request:    r,
	}, nil
})

// BenchmarkStart is what the SDK costs for each start, with an engine that
// costs nothing: as the embedded engine is called, and with the SDK as it
// comes.
func BenchmarkStart(b *testing.B) {
	input := []byte(`{"message":"` + strings.Repeat("x", 1000) + `"}`)
	signed := sfn.New(sfn.Options{
		Region:       EmbeddedRegion,
		BaseEndpoint: aws.String("http://engine.local"),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
		HTTPClient: &http.Client{Transport: canned},
	})
	for name, api := range map[string]API{"embedded": DialEmbedded(canned), "plain-sdk": signed} {
		b.Run(name, func(b *testing.B) {
			c, err := New(One(api), Config{StateMachines: map[string]Machine{"deploy": {ARN: deployARN}}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Start(b.Context(), "deploy", "x", input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
