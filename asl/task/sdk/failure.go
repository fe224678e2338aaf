package sdk

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"switchyard/asl/task"
)

// failure is the error that Retry and Catch see. Its name is that of the AWS SDK
// for Java, which Step Functions calls services with: an error that the
// service's model has by its class, any other by the service's own. A call that
// got no answer is a SdkClientException.
func (c call) failure(err error) error {
	var answered *awshttp.ResponseError
	status, id := 0, ""
	if errors.As(err, &answered) {
		status, id = answered.HTTPStatusCode(), answered.ServiceRequestID()
	}
	var told smithy.APIError
	if !errors.As(err, &told) {
		return &task.Error{Name: c.prefix + ".SdkClientException", Cause: err.Error()}
	}
	name := c.unknown
	if _, generic := told.(*smithy.GenericAPIError); !generic {
		name = className(reflect.TypeOf(told).Elem().Name())
	}
	return &task.Error{
		Name:  c.prefix + "." + name,
		Cause: fmt.Sprintf("%s (Service: %s, Status Code: %d, Request ID: %s)", told.ErrorMessage(), c.prefix, status, id),
	}
}

// className is the name that the SDK for Java gives an error of a service's
// model: it ends with Exception, and acronyms in it are written as words.
func className(shape string) string {
	shape = strings.TrimSuffix(shape, "Fault")
	if !strings.HasSuffix(shape, "Exception") {
		shape += "Exception"
	}
	letters := []rune(shape)
	for i := 1; i < len(letters); i++ {
		ends := i+1 == len(letters) || unicode.IsLower(letters[i+1])
		if unicode.IsUpper(rune(shape[i-1])) && unicode.IsUpper(letters[i]) && !ends {
			letters[i] = unicode.ToLower(letters[i])
		}
	}
	return string(letters)
}
