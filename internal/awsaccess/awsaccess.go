// Package awsaccess loads the credentials and settings with which the services
// of AWS are called, in one way for all of them.
package awsaccess

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Settings say as whom, and where, AWS is called. What is empty comes from where
// the AWS command line takes it: environment, shared config files, instance role.
type Settings struct {
	Region  string
	Profile string
	// Role is the ARN of a role that is assumed with those credentials, for
	// example in another account, and ExternalID what its trust policy asks for.
	Role       string
	ExternalID string
	// FIPS asks for the endpoints that are validated by FIPS 140.
	FIPS bool
	// MaxConnections is how many idle connections are kept, which should be as
	// many as there are parallel calls. Default 64.
	MaxConnections int
}

// Load reads files and environment, and calls nobody: the role is assumed when
// the first call needs it. Clients made of the result make one attempt for each
// call; who calls decides what is tried again. The result has no region where
// nothing names one.
func Load(ctx context.Context, s Settings) (aws.Config, error) {
	if s.MaxConnections == 0 {
		s.MaxConnections = 64
	}
	// The SDK's own buildable client, and no plain *http.Client: only the
	// former takes the certificates that AWS_CA_BUNDLE names, and loading the
	// config fails with the latter while that variable is set.
	httpClient := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns = s.MaxConnections
		t.MaxIdleConnsPerHost = s.MaxConnections
	})
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(httpClient),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if s.Region != "" {
		load = append(load, config.WithRegion(s.Region))
	}
	if s.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(s.Profile))
	}
	if s.FIPS {
		load = append(load, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	loaded, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load AWS configuration: %v", err)
	}
	if s.Role != "" {
		assume := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(loaded), s.Role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "switchyard"
			if s.ExternalID != "" {
				o.ExternalID = &s.ExternalID
			}
		})
		loaded.Credentials = aws.NewCredentialsCache(assume)
	}
	return loaded, nil
}
