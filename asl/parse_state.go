package asl

import (
	"slices"
	"strings"
	"time"

	"switchyard/asl/integration"
	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

// AWS's defaults and limits of Retry.
const (
	defaultInterval    = 1
	defaultMaxAttempts = 3
	defaultBackoff     = 2.0
	maxMaxAttempts     = 99999999
	maxMaxDelay        = 31622400 // seconds, a year
)

// stringFunctions are the functions that ErrorPath and CausePath may call.
var stringFunctions = []string{
	"States.Format", "States.JsonToString", "States.ArrayGetItem", "States.Base64Encode", "States.Base64Decode", "States.Hash", "States.UUID",
}

func (o *object) assignment() *Assignment {
	const field = "Assign"
	v, ok := o.typed(field, value.Object, "Object")
	if !ok {
		return nil
	}
	for i := range v.Len() {
		name := strings.TrimSuffix(v.Key(i), ".$")
		o.assigns[name] = true
		if p, err := jsonpath.Parse("$" + name); err != nil || p.VariableName() != name || name == "" {
			o.add(SeverityError, CodeSchema, o.at+"/"+field, o.src.KeyOffset(v, i), "", "Invalid variable name: "+name)
		}
	}
	if t := o.template(field); t != nil {
		return &Assignment{template: t}
	}
	return nil
}

func (d *decoder) retriers(o *object) []Retrier {
	var out []Retrier
	for _, c := range o.children("Retry") {
		c.allow([]string{"Comment", "ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy"})
		r := Retrier{Interval: defaultInterval * time.Second, MaxAttempts: defaultMaxAttempts, BackoffRate: defaultBackoff}
		r.ErrorEquals = c.errorEquals()
		if n, ok := c.integer("IntervalSeconds", 1, maxSeconds); ok {
			r.Interval = time.Duration(n) * time.Second
		}
		if n, ok := c.integer("MaxAttempts", 0, maxMaxAttempts); ok {
			r.MaxAttempts = int(n)
		}
		if f, ok := c.number("BackoffRate", 1); ok {
			r.BackoffRate = f
		}
		if n, ok := c.integer("MaxDelaySeconds", 1, maxMaxDelay); ok {
			r.MaxDelay = time.Duration(n) * time.Second
		}
		r.FullJitter = c.oneOf("JitterStrategy", "FULL", "NONE") == "FULL"
		out = append(out, r)
	}
	return out
}

func (o *object) errorEquals() []string {
	if !o.require("ErrorEquals") {
		return nil
	}
	names := o.strings("ErrorEquals")
	if v, _ := o.v.Get("ErrorEquals"); v.Kind() == value.Array && v.Len() == 0 {
		o.failAt("ErrorEquals", "At least one error name is required", "")
	}
	return names
}

func (d *decoder) catchers(o *object, g *Graph, s *State) []Catcher {
	list := o.children("Catch")
	out := make([]Catcher, len(list))
	for i, c := range list {
		c.allow([]string{"Comment", "ErrorEquals", "Next", "ResultPath", "Assign"})
		catcher := &out[i]
		catcher.Comment = c.str("Comment")
		catcher.ErrorEquals = c.errorEquals()
		catcher.ResultPath = c.placement()
		catcher.Assign = c.assignment()
		if c.require("Next") {
			d.link(c, "Next", g, s, func(to *State) { catcher.Next = to })
		}
	}
	return out
}

func (d *decoder) task(o *object) *Task {
	t := &Task{Resource: o.resource()}
	if f := o.intField("TimeoutSeconds", 1, maxSeconds); f != nil {
		t.Timeout = &Seconds{*f}
	}
	if f := o.intField("HeartbeatSeconds", 1, maxSeconds); f != nil {
		t.Heartbeat = &Seconds{*f}
	}
	t.Credentials = o.template("Credentials")
	o.integration(t.Resource, "Parameters", integration.JSONPath)
	return t
}

// resource reads the ARN in Resource.
func (o *object) resource() string {
	if !o.require("Resource") {
		return ""
	}
	arn := o.str("Resource")
	if o.empty("Resource") {
		return ""
	}
	if v, _ := o.v.Get("Resource"); v.Kind() == value.String && (!strings.HasPrefix(arn, "arn:") || strings.Count(arn, ":") < 5) {
		o.failAt("Resource", "Value is not a valid resource ARN", "it looks like arn:aws:states:::service:action")
	}
	return arn
}

func (d *decoder) wait(o *object) *Wait {
	fields := []string{"Seconds", "SecondsPath", "Timestamp", "TimestampPath"}
	if n := len(slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return !o.has(f) })); n != 1 {
		o.fail("Exactly one of these fields is required: [%s]", strings.Join(fields, ", "))
		return nil
	}
	w := &Wait{secondsPath: o.pathExpr("SecondsPath", noWaitValue("SecondsPath")), timestampPath: o.pathExpr("TimestampPath", noWaitValue("TimestampPath"))}
	if n, ok := o.integer("Seconds", 0, maxSeconds); ok {
		w.seconds = time.Duration(n) * time.Second
	}
	if o.has("Timestamp") {
		w.at = o.timestamp("Timestamp")
	}
	return w
}

func (o *object) timestamp(field string) time.Time {
	v, ok := o.typed(field, value.String, "String")
	if !ok {
		return time.Time{}
	}
	s, _ := v.Str()
	t, ok := ParseTimestamp(s)
	if !ok {
		o.failAt(field, "String does not match RFC3339 timestamp", "write it like 2016-03-14T01:59:00Z")
	}
	return t
}

func (d *decoder) failState(o *object) *Fail {
	return &Fail{Error: o.failText("Error"), Cause: o.failText("Cause")}
}

// failText reads Error and ErrorPath, or Cause and CausePath.
func (o *object) failText(field string) Expression {
	o.exclusive(field, field+"Path")
	if v, ok := o.typed(field, value.String, "String"); ok {
		return constant{v}
	}
	field += "Path"
	v, ok := o.typed(field, value.String, "String")
	if !ok {
		return nil
	}
	s, _ := v.Str()
	e, err := compileExpression(field, s)
	if err != nil {
		o.failAt(field, "Value must be a valid JSONPath or a valid intrinsic function call", reason(err))
		return nil
	}
	if c, ok := e.(*callExpr); ok && !slices.Contains(stringFunctions, c.call.Name()) {
		o.failAt(field, "The intrinsic function "+c.call.Name()+" cannot be used here", "only those that give a string can")
		return nil
	}
	variables(e, o.refer)
	return e
}

// Outcome gives the error and cause to fail with; each may be "" when the
// state has none.
func (f *Fail) Outcome(sc *Scope) (name, cause string, err error) {
	if name, err = failString(sc, "Error", f.Error); err != nil {
		return "", "", err
	}
	cause, err = failString(sc, "Cause", f.Cause)
	return name, cause, err
}

func failString(sc *Scope, field string, e Expression) (string, error) {
	if e == nil {
		return "", nil
	}
	v, err := e.Eval(sc)
	if err != nil {
		return "", err
	}
	s, ok := v.Str()
	if !ok {
		return "", runtimeError("The field '%s' must be a string, it is %s", field, v.JSON())
	}
	return s, nil
}

func (d *decoder) parallel(o *object) *Parallel {
	p := &Parallel{}
	if !o.require("Branches") {
		return p
	}
	for _, b := range o.children("Branches") {
		b.allow(branchFields, d.once())
		g := &Graph{}
		d.graph(b, g)
		p.Branches = append(p.Branches, g)
	}
	if v, _ := o.v.Get("Branches"); v.Kind() == value.Array && v.Len() == 0 {
		o.failAt("Branches", "At least one branch is required", "")
	}
	return p
}

func (d *decoder) mapState(o *object) *Map {
	m := &Map{ItemsPath: o.filter("ItemsPath")}
	o.exclusive("ItemSelector", "Parameters")
	if m.ItemSelector = o.template("ItemSelector"); m.ItemSelector == nil {
		m.ItemSelector = o.template("Parameters")
	}
	m.maxConcurrency = o.intField("MaxConcurrency", 0, maxSeconds)
	m.toleratedCount = o.intField("ToleratedFailureCount", 0, maxCount)
	m.toleratedPercentage = o.percentage()
	d.mapProcessor(o, m)
	d.distributedFields(o, m, pathDistribution{})
	return m
}

// once are fields of a branch or processor that definitions may have which were
// accepted before.
func (d *decoder) once() []string {
	if d.stored {
		return []string{"QueryLanguage"}
	}
	return nil
}

// mapProcessor reads what a Map does with each item.
func (d *decoder) mapProcessor(o *object, m *Map) {
	o.exclusive("ItemProcessor", "Iterator")
	field := "ItemProcessor"
	if o.has("Iterator") {
		field = "Iterator"
	} else if !o.require(field) {
		return
	}
	if p, ok := o.child(field); ok {
		p.allow(processorFields, d.once())
		d.processor(p, &m.Processor)
		d.graph(p, &m.Processor.Graph)
	}
}

func (d *decoder) processor(o *object, p *Processor) {
	p.Timeout = o.duration("TimeoutSeconds")
	c, ok := o.child("ProcessorConfig")
	if !ok {
		return
	}
	c.allow([]string{"Mode", "ExecutionType"})
	p.Distributed = c.oneOf("Mode", "INLINE", "DISTRIBUTED") == "DISTRIBUTED"
	p.Express = c.oneOf("ExecutionType", "STANDARD", "EXPRESS") == "EXPRESS"
	if p.Distributed {
		c.require("ExecutionType")
	}
}

func (o *object) percentage() *floatField {
	const name = "ToleratedFailurePercentage"
	o.exclusive(name, name+"Path")
	if e := o.pathExpr(name+"Path", invalidPath); e != nil {
		return &floatField{name: name, path: e}
	}
	f, ok := o.number(name, 0)
	if !ok {
		return nil
	}
	if f > 100 {
		o.failAt(name, "Maximum value is 100", "")
	}
	return &floatField{name: name, f: f}
}

// distribution reads what a distributed Map has beside its items; query
// languages differ in their fields.
type distribution interface {
	itemReader(o *object) *ItemReader
	itemBatcher(o *object) *ItemBatcher
	resultWriter(o *object) *ResultWriter
}

// pathDistribution is the distribution of a Map in JSONPath.
type pathDistribution struct{}

// distributedFields reads what only a distributed Map can have.
func (d *decoder) distributedFields(o *object, m *Map, of distribution) {
	if !m.Processor.Distributed {
		for _, f := range []string{"ItemReader", "ItemBatcher", "ResultWriter", "Label"} {
			if i := o.index(f); i >= 0 {
				o.add(SeverityError, CodeSchema, o.at, o.src.KeyOffset(o.v, i), "it needs a ProcessorConfig with the Mode DISTRIBUTED", "Field '"+f+"' is not supported")
			}
		}
	}
	if c, ok := o.child("ItemReader"); ok {
		m.ItemReader = of.itemReader(c)
	}
	if c, ok := o.child("ItemBatcher"); ok {
		m.ItemBatcher = of.itemBatcher(c)
	}
	if c, ok := o.child("ResultWriter"); ok {
		m.ResultWriter = of.resultWriter(c)
	}
	if o.has("Label") {
		m.Label = o.str("Label")
		switch {
		case m.Label == "" || len(m.Label) > 40 || strings.ContainsAny(m.Label, "?*<>{}[]:;,\\|^~$#%&`\" \t\r\n"):
			o.add(SeverityError, CodeInvalidLabelName, o.at+"/Label", o.valueOffset("Label"), "a label has 1 to 40 characters, no white space and none of ?*<>{}[]:;,\\|^~$#%&`\"", "Invalid label name: "+m.Label)
		case d.labels[m.Label]:
			o.add(SeverityError, CodeDuplicateLabelName, o.at+"/Label", o.valueOffset("Label"), "", "Duplicate label name: "+m.Label)
		}
		d.labels[m.Label] = true
	}
}

func (pathDistribution) itemReader(o *object) *ItemReader {
	o.allow([]string{"Resource", "Parameters", "ReaderConfig"})
	r := &ItemReader{Resource: o.resource(), Parameters: o.template("Parameters")}
	c, ok := o.child("ReaderConfig")
	if !ok {
		return r
	}
	c.allow(readerFields, []string{"MaxItemsPath"})
	r.Config = c.readerConfig()
	r.Config.maxItems = c.intField("MaxItems", 0, maxReaderItems)
	return r
}

var readerFields = []string{"InputType", "Transformation", "CSVHeaderLocation", "CSVHeaders", "CSVDelimiter", "MaxItems", "ItemsPointer", "ManifestType"}

// maxReaderItems is how many items an ItemReader reads at most, maxCount the
// largest count of what a Map endures or batches.
const (
	maxReaderItems = 100_000_000
	maxCount       = 1<<31 - 1
)

// readerConfig reads a ReaderConfig but for MaxItems.
func (o *object) readerConfig() ReaderConfig {
	c := ReaderConfig{
		InputType:         o.oneOf("InputType", "CSV", "JSON", "JSONL", "MANIFEST", "PARQUET"),
		Transformation:    o.oneOf("Transformation", "NONE", "LOAD_AND_FLATTEN"),
		CSVHeaderLocation: o.oneOf("CSVHeaderLocation", "FIRST_ROW", "GIVEN"),
		CSVHeaders:        o.strings("CSVHeaders"),
		CSVDelimiter:      o.oneOf("CSVDelimiter", "COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"),
		ItemsPointer:      o.str("ItemsPointer"),
		ManifestType:      o.oneOf("ManifestType", "S3_INVENTORY", "ATHENA_DATA"),
	}
	if c.CSVHeaderLocation == "GIVEN" {
		o.require("CSVHeaders")
	}
	return c
}

func (pathDistribution) itemBatcher(o *object) *ItemBatcher {
	o.allow([]string{"BatchInput", "MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath"})
	b := &ItemBatcher{
		BatchInput: o.template("BatchInput"),
		maxItems:   o.intField("MaxItemsPerBatch", 1, maxCount),
		maxBytes:   o.intField("MaxInputBytesPerBatch", 1, MaxData),
	}
	if b.maxItems == nil && b.maxBytes == nil && !o.has("MaxItemsPerBatch") && !o.has("MaxInputBytesPerBatch") {
		o.fail("At least one of these fields is required: [MaxItemsPerBatch, MaxItemsPerBatchPath, MaxInputBytesPerBatch, MaxInputBytesPerBatchPath]")
	}
	return b
}

func (pathDistribution) resultWriter(o *object) *ResultWriter {
	o.allow([]string{"Resource", "Parameters", "WriterConfig"})
	w := o.resultWriter()
	w.Parameters = o.template("Parameters")
	return w
}

// resultWriter reads a ResultWriter but for its parameters.
func (o *object) resultWriter() *ResultWriter {
	w := &ResultWriter{}
	if o.has("Resource") {
		w.Resource = o.resource()
	} else if !o.has("WriterConfig") {
		o.fail("These fields are required: [Resource]")
	}
	if c, ok := o.child("WriterConfig"); ok {
		c.allow([]string{"Transformation", "OutputType"})
		w.Transformation = c.oneOf("Transformation", "NONE", "COMPACT", "FLATTEN")
		w.OutputType = c.oneOf("OutputType", "JSON", "JSONL")
	}
	return w
}
