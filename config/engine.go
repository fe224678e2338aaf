package config

import (
	"github.com/goccy/go-yaml/ast"
)

// Engine is what runs executions: exactly one of its fields is set. In the file
// it is a name alone, or a name with its settings.
type Engine struct {
	Embedded *Embedded `json:"embedded,omitempty" jsonschema:"The engine in this process; nothing else is needed."`
	AWS      *AWS      `json:"aws,omitempty" jsonschema:"AWS Step Functions. Credentials come from where the AWS command line takes them."`
}

// Embedded is the engine in this process.
type Embedded struct {
	Listen    string                 `json:"listen,omitzero" jsonschema:"host:port of the Step Functions API, for the AWS command line and SDKs. Left out, no port is opened."`
	Auth      string                 `json:"auth,omitzero" jsonschema:"Who may call that port. keys: requests signed with an access key. none: everybody who reaches it, on the loopback only. Default: keys." enum:"keys,none"`
	Keys      []AccessKey            `json:"keys,omitzero" jsonschema:"Access keys of that port. Without one the service makes its own at the first start, in engine.keys in data_dir; switchyard engine keys prints it. Several while one is rotated out."`
	Hosts     Strings                `json:"hosts,omitzero" jsonschema:"Names by which clients call that port, beside the loopback's and the address that it listens on: of this machine, a proxy or a container. Requests to other names are refused."`
	MaxBuilds int                    `json:"max_builds,omitzero" jsonschema:"How many local builds run at once. 0: one for each CPU." min:"0"`
	Builds    Builds                 `json:"builds,omitzero" jsonschema:"How local builds are kept apart, and what each may use."`
	Objects   string                 `json:"objects,omitzero" jsonschema:"Folder that stands for S3: distributed Maps read and write the object KEY of the bucket BUCKET as the file BUCKET/KEY in it. Relative to this file's folder. Left out, ItemReader and ResultWriter fail."`
	Projects  map[string]Project     `json:"projects,omitzero" jsonschema:"What codebuild:startBuild runs on this machine, by ProjectName."`
	Secrets   map[string]BuildSecret `json:"secrets,omitzero" jsonschema:"Secrets that several projects may have, by name. A project has one only when its own secrets say so, with shared."`
	AWS       *Services              `json:"aws,omitempty" jsonschema:"Where Task states call services of AWS from this machine: arn:aws:states:::aws-sdk:… and Step Functions' own integrations. Left out, such a state fails."`
	Functions map[string]Function    `json:"functions,omitzero" jsonschema:"What a Lambda ARN or name runs on this machine."`
	Mocks     string                 `json:"mocks,omitzero" jsonschema:"File in the format of MockConfigFile.json. An execution started with #TestCase after the state machine's ARN takes its answers from there. Relative to this file's folder."`
}

// AccessKey signs requests to the engine's port.
type AccessKey struct {
	ID     string `json:"id" jsonschema:"Access key ID: letters, digits and _, at most 128."`
	Secret Secret `json:"secret" jsonschema:"Secret access key."`
}

// The values of Embedded.Auth; "" is AuthKeys.
const (
	AuthKeys = "keys"
	AuthNone = "none"
)

// Builds are what holds for all local builds.
type Builds struct {
	Isolation     string     `json:"isolation,omitzero" jsonschema:"Whether builds run in namespaces of their own: bubblewrap (refuses to start where it does not work), auto (bubblewrap where it works, else none with a warning) or none. Default: auto." enum:"auto,bubblewrap,none"`
	Container     *Container `json:"container,omitzero" jsonschema:"Runs each build in a container, which isolates it; isolation is auto then."`
	Visible       Strings    `json:"visible,omitzero" jsonschema:"Absolute paths that isolated builds see beside the system's programs, read-only, such as the folder of a toolchain."`
	Writable      Strings    `json:"writable,omitzero" jsonschema:"Absolute paths that all isolated builds share and may change, such as a download cache. What one build puts there, all later ones use."`
	Cache         Size       `json:"cache,omitzero" jsonschema:"How much disk the caches of all builds may take, see cache in a buildspec. What was not used for the longest time goes first. 0: no caches. Default: 5GB."`
	Region        string     `json:"region,omitzero" jsonschema:"AWS region of local builds: their AWS_REGION and AWS_DEFAULT_REGION, and the one in the ARN of a build. Left out, the variables are not set."`
	CheckMirrors  Duration   `json:"check_mirrors,omitzero" jsonschema:"How often each mirror of a repository is checked whole, at least 1m. 0: never. Default: 1d."`
	KeepMirrors   Duration   `json:"keep_mirrors,omitzero" jsonschema:"For how long the mirror of a repository is kept that nothing builds from. 0: for ever. Default: 90d."`
	Disk          Size       `json:"disk,omitzero" jsonschema:"How much disk the files of one running build may take; above it the build is ended. Default: 10GB."`
	Memory        Size       `json:"memory,omitzero" jsonschema:"How much memory all processes of one build may take together; above it the build is ended. Default: half of this machine's, or of what the service's container or unit may take."`
	Reserve       Size       `json:"reserve,omitzero" jsonschema:"How much of the disk of data_dir builds leave free for the service itself. While less is free no build begins, and those that run are paused. 0: nothing is left free. Default: 1GB, or a twentieth of a disk of less than 20GB."`
	Processes     int        `json:"processes,omitzero" jsonschema:"How many processes and threads one build may have at once; above it the build is ended. Default: 4096." min:"1"`
	OpenFiles     int        `json:"open_files,omitzero" jsonschema:"How many files each process of a build may have open. Default: 65536." min:"16"`
	Artifacts     Size       `json:"artifacts,omitzero" jsonschema:"How much the artifacts and reports that one build leaves may take. Default: 1GB."`
	ArtifactFiles int        `json:"artifact_files,omitzero" jsonschema:"How many files the artifacts and reports that one build leaves may be. Default: 100000." min:"1"`
	Log           Size       `json:"log,omitzero" jsonschema:"How much of a build's output is kept; what follows is dropped, and the log says so. Default: 64MB."`
}

// Container is what builds run in.
type Container struct {
	Runtime string `json:"runtime,omitzero" jsonschema:"Program that runs containers. Default: podman." enum:"podman,docker"`
	Image   string `json:"image" jsonschema:"Image of the builds whose project has none. It needs a /bin/sh."`
}

// Project is a local build.
type Project struct {
	Buildspec   string                 `json:"buildspec,omitzero" jsonschema:"Buildspec file in the checkout. Default: buildspec.yml."`
	Repository  string                 `json:"repository,omitzero" jsonschema:"Where to fetch from when the build's input does not say: URL or path."`
	Timeout     Duration               `json:"timeout,omitzero" jsonschema:"How long one build may take. Default: 60m."`
	Environment map[string]string      `json:"environment,omitzero" jsonschema:"Environment variables of the build."`
	Secrets     map[string]BuildSecret `json:"secrets,omitzero" jsonschema:"Secrets of the project's builds, by the name that a buildspec's secrets-manager or parameter-store refers to."`
	Submodules  Strings                `json:"submodules,omitzero" jsonschema:"Clone URLs of the repositories that a commit may have as submodules, and those theirs; * stands for any name: https://github.com/acme/*. They are fetched with their source's token. Left out, submodules are not checked out."`
	Image       string                 `json:"image,omitzero" jsonschema:"Image that the project's builds run in. Needs engine.embedded.builds.container."`
	Network     string                 `json:"network,omitzero" jsonschema:"Whether builds use the network as this machine does (host) or have none, not even this machine's loopback (none, which needs isolation). Default: host." enum:"host,none"`
	ForkNetwork string                 `json:"fork_network,omitzero" jsonschema:"The same for commits from forks, which get no secrets and nothing of environment either. Default: none." enum:"host,none"`
}

// Function stands for a Lambda function.
type Function struct {
	Exec        Strings           `json:"exec,omitzero" jsonschema:"Program and arguments: JSON on its stdin, JSON on its stdout. No shell."`
	Environment map[string]string `json:"environment,omitzero" jsonschema:"Environment variables of the program, beside PATH, HOME, LANG, LC_ALL and TZ."`
	HTTP        string            `json:"http,omitzero" jsonschema:"URL that takes a POST with the input as JSON and answers with the output."`
	Headers     map[string]Secret `json:"headers,omitzero" jsonschema:"Headers sent to the URL, such as Authorization. Their values are never shown."`
	Timeout     Duration          `json:"timeout,omitzero" jsonschema:"How long one call may take. Default: 15m."`
}

// AWS is Step Functions in an AWS account.
type AWS struct {
	Region      string           `json:"region,omitzero" jsonschema:"Region of what has no ARN. Left out, AWS_REGION or the profile says it. State machines are called in the region of their ARN."`
	Profile     string           `json:"profile,omitzero" jsonschema:"Profile of the shared AWS config files."`
	Role        string           `json:"role,omitzero" jsonschema:"ARN of a role that is assumed for all calls."`
	ExternalID  string           `json:"external_id,omitzero" jsonschema:"External ID that the role's trust policy asks for."`
	FIPS        bool             `json:"fips,omitzero" jsonschema:"Call the endpoints that are validated by FIPS 140. Default: false."`
	Endpoint    string           `json:"endpoint,omitzero" jsonschema:"URL instead of the service's own: a VPC endpoint or an emulator."`
	StartBurst  int              `json:"start_burst,omitzero" jsonschema:"StartExecution calls that may be made at once, per region, before start_rate applies: the account's bucket size. Default: AWS's, 1300 in us-east-1, us-west-2 and eu-west-1, else 800." min:"1"`
	StartRate   float64          `json:"start_rate,omitzero" jsonschema:"StartExecution calls per second, per region: the account's refill rate. Default: AWS's, 300 in us-east-1, us-west-2 and eu-west-1, else 150." min:"0.1"`
	StatusLinks string           `json:"status_links,omitzero" jsonschema:"What commit statuses link to: page, the execution's page here, or console, the AWS console. Default: page." enum:"page,console"`
	Regions     map[string]Quota `json:"regions,omitzero" jsonschema:"Quotas of single regions, by name, where they differ."`

	StatusEvents *StatusEvents `json:"status_events,omitempty" jsonschema:"Where EventBridge's events about executions arrive, so that their end is known at once; what is lost is found by asking. The events that come through a codecommit source are taken too."`
}

// Quota is a region's token bucket for StartExecution.
type Quota struct {
	StartBurst int     `json:"start_burst,omitzero" jsonschema:"As engine.aws.start_burst, in this region." min:"1"`
	StartRate  float64 `json:"start_rate,omitzero" jsonschema:"As engine.aws.start_rate, in this region." min:"0.1"`
}

func (e *Engine) decodeNode(d *decoder, n ast.Node, path string) {
	e.Embedded, e.AWS = nil, nil
	if _, ok := d.scalar(n); ok {
		text, ok := d.text(n, path)
		switch {
		case !ok || d.unresolved[path]:
			e.Embedded = &Embedded{}
		case text == "embedded":
			e.Embedded = &Embedded{}
		case text == "aws":
			e.AWS = &AWS{}
		default:
			d.failValue(path, "expected embedded or aws, got %q", text)
			e.Embedded = &Embedded{}
		}
		return
	}
	d.mapping(n, (*engineSettings)(e), path)
	// "embedded:" with nothing after it means the engine as it comes.
	for _, key := range d.keys(n) {
		switch {
		case key == "embedded" && e.Embedded == nil:
			e.Embedded = &Embedded{}
		case key == "aws" && e.AWS == nil:
			e.AWS = &AWS{}
		}
	}
	if e.Embedded != nil && e.AWS != nil {
		d.failValue(path, "embedded and aws exclude each other; keep one")
	}
	if e.Embedded == nil && e.AWS == nil {
		d.failValue(path, "says neither embedded nor aws")
		e.Embedded = &Embedded{}
	}
}

// engineSettings is Engine without its own way of being decoded.
type engineSettings Engine
