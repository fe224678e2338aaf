package codecommittest

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
)

// Client returns a client of the server that makes one attempt for each call.
func (s *Server) Client() *codecommit.Client {
	return codecommit.New(codecommit.Options{
		Region: Region, BaseEndpoint: aws.String(s.URL), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
		HTTPClient:  s.Server.Client(),
	})
}
