package stepfn

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go/middleware"
)

// The embedded engine's region and account, as they stand in its ARNs.
const (
	EmbeddedRegion  = "us-east-1"
	EmbeddedAccount = "123456789012"
)

// AWSConfig says which AWS is meant. What is empty comes from where the AWS
// command line takes it: environment, shared config files, instance role.
type AWSConfig struct {
	Region  string
	Profile string
	// Endpoint replaces the service's own, for an emulator or a VPC endpoint:
	// a URL such as http://127.0.0.1:8083.
	Endpoint string
	// MaxConnections is how many idle connections are kept, which should be as
	// many as there are parallel calls. Default 64.
	MaxConnections int
}

// Dial loads credentials and settings and returns a client that makes one
// attempt for each call. It reads files and environment, and does not call
// Step Functions.
func Dial(ctx context.Context, cfg AWSConfig) (*sfn.Client, error) {
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 64
	}
	// The SDK's own buildable client, and no plain *http.Client: only the
	// former takes the certificates that AWS_CA_BUNDLE names, and loading the
	// config fails with the latter while that variable is set.
	httpClient := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns = cfg.MaxConnections
		t.MaxIdleConnsPerHost = cfg.MaxConnections
	})
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(httpClient),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if cfg.Region != "" {
		load = append(load, config.WithRegion(cfg.Region))
	}
	if cfg.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(cfg.Profile))
	}
	loaded, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %v", err)
	}
	if loaded.Region == "" {
		return nil, errors.New("load AWS configuration: no region; set engine.aws.region or AWS_REGION")
	}
	return sfn.NewFromConfig(loaded, func(o *sfn.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint = &cfg.Endpoint
		}
	}), nil
}

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
