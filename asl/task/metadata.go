package task

import (
	"crypto/sha256"
	"fmt"
)

// Metadata is what Step Functions adds to the answer of a service: how the call
// that it made went over HTTP. The fields have the names of its output.
type Metadata struct {
	SdkHTTPMetadata     HTTPMetadata `json:"SdkHttpMetadata"`
	SdkResponseMetadata ResponseMetadata
}

// HTTPMetadata is the answer's headers and status.
type HTTPMetadata struct {
	AllHTTPHeaders map[string][]string `json:"AllHttpHeaders"`
	HTTPHeaders    map[string]string   `json:"HttpHeaders"`
	HTTPStatusCode int                 `json:"HttpStatusCode"`
}

// ResponseMetadata names the request.
type ResponseMetadata struct {
	RequestID string `json:"RequestId"`
}

// MetadataOf is the metadata of a call that was made for t within this process,
// the same each time. contentType is that of the answer.
func MetadataOf(t Task, contentType string) Metadata {
	sum := sha256.Sum256([]byte(t.ExecutionARN + "\n" + t.ID))
	m := Metadata{
		HTTPMetadata{AllHTTPHeaders: map[string][]string{}, HTTPHeaders: map[string]string{}, HTTPStatusCode: 200},
		ResponseMetadata{fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])},
	}
	m.AddHeader("Content-Type", contentType)
	return m
}

// AddHeader adds a header of the answer. The name is taken as it is written.
func (m *Metadata) AddHeader(name, v string) {
	m.SdkHTTPMetadata.AllHTTPHeaders[name] = append(m.SdkHTTPMetadata.AllHTTPHeaders[name], v)
	m.SdkHTTPMetadata.HTTPHeaders[name] = m.SdkHTTPMetadata.AllHTTPHeaders[name][0]
}
