/* Runs an exported model from C: the probabilities of one recording, one line for each frame.
 *
 *   run_saved_model FOLDER INPUT OUTPUT SAMPLES
 *
 * FOLDER holds saved_model.pb. INPUT and OUTPUT are tensors of its graph, such as serving_default_waveform:0 and
 * PartitionedCall:3; `saved_model_cli show --dir FOLDER --tag_set serve --signature_def serving_default` tells which
 * belongs to which name. SAMPLES is a file of raw float32 samples, mono, 16 kHz. docs/serving.md says how to compile it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

static void fail(const char *what, const char *why) {
  fprintf(stderr, "error: %s: %s\n", what, why);
  exit(1);
}

static void require_ok(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* "name:index" to a tensor of the graph. */
static TF_Output find(TF_Graph *graph, const char *tensor) {
  char name[256];
  int index = 0;
  if (sscanf(tensor, "%255[^:]:%d", name, &index) < 1) fail(tensor, "is no name of a tensor");
  TF_Output output = {TF_GraphOperationByName(graph, name), index};
  if (!output.oper) fail(tensor, "is not in the graph");
  if (index < 0 || index >= TF_OperationNumOutputs(output.oper)) fail(tensor, "has no such index");
  return output;
}

/* A file of float32 samples as a tensor [1, samples]. */
static TF_Tensor *read_waveform(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path, "cannot be opened");
  fseek(file, 0, SEEK_END);
  long bytes = ftell(file);
  rewind(file);
  if (bytes <= 0 || bytes % sizeof(float)) fail(path, "holds no float32 samples");
  int64_t shape[2] = {1, bytes / (long)sizeof(float)};
  TF_Tensor *tensor = TF_AllocateTensor(TF_FLOAT, shape, 2, bytes);
  if (fread(TF_TensorData(tensor), 1, bytes, file) != (size_t)bytes) fail(path, "cannot be read");
  fclose(file);
  return tensor;
}

int main(int argc, char **argv) {
  if (argc != 5) fail("usage", "run_saved_model FOLDER INPUT OUTPUT SAMPLES");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  require_ok(status, argv[1]);

  TF_Output input = find(graph, argv[2]), output = find(graph, argv[3]);
  TF_Tensor *waveform = read_waveform(argv[4]), *roll = NULL;
  TF_SessionRun(session, NULL, &input, &waveform, 1, &output, &roll, 1, NULL, 0, NULL, status);
  require_ok(status, "run");
  if (TF_TensorType(roll) != TF_FLOAT || TF_NumDims(roll) != 3) fail(argv[3], "is no roll");

  const float *value = TF_TensorData(roll);
  for (int64_t frame = 0; frame < TF_Dim(roll, 1); frame++)
    for (int64_t key = 0; key < TF_Dim(roll, 2); key++)
      printf("%.9g%c", *value++, key + 1 < TF_Dim(roll, 2) ? ' ' : '\n');

  TF_DeleteTensor(waveform);
  TF_DeleteTensor(roll);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
