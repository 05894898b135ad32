/* Labels a photo with an exported model through TensorFlow's C API: a program without Python.
 *
 *   classify VERSION_DIR PHOTO [LABEL ...]
 *
 * VERSION_DIR is a version directory of an export (the one that holds saved_model.pb). With labels it calls the
 * signature `classify`, without any `serving_default`; which operations these are is read from the SavedModel. Prints
 * a line `label<TAB>score<TAB>known` a label, best first, known 1 or 0. Exit status: 0 done, 1 failed, with a message
 * on stderr, 2 wrong command line. TensorFlow's own notes on stderr go away with TF_CPP_MIN_LOG_LEVEL=2 in the
 * environment.
 *
 * To build it, with INCLUDE=tensorflow.sysconfig.get_include() and LIB=tensorflow.sysconfig.get_lib():
 *
 *   gcc -std=c11 -Wall -Wextra -O1 classify.c -o classify -I$INCLUDE -L$LIB -Wl,-rpath,$LIB \
 *       -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2
 */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

/* Fields of TensorFlow's protocol buffers, by number. */
enum { META_GRAPH_SIGNATURES = 5, SIGNATURE_INPUTS = 1, SIGNATURE_OUTPUTS = 2, TENSOR_NAME = 1 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };

/* Bytes that belong to someone else. */
typedef struct {
  const unsigned char* data;
  size_t size;
} Span;

/* Takes a varint from the front of a message. Returns 0 if the message ends before it does. */
static int read_varint(Span* message, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && message->size > 0; shift += 7) {
    unsigned char byte = *message->data++;
    message->size--;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return 1;
  }
  return 0;
}

/* Takes a field from the front of a message; `content` is empty unless the field is a string or a message. Returns 0
 * at the end of the message, and where it is no protocol buffer. */
static int read_field(Span* message, uint64_t* number, Span* content) {
  uint64_t key, size;
  if (!read_varint(message, &key)) return 0;
  *number = key >> 3;
  *content = (Span){NULL, 0};
  switch (key & 7) {
    case 0:
      return read_varint(message, &size);
    case 1:
      size = 8;
      break;
    case 2:
      if (!read_varint(message, &size)) return 0;
      break;
    case 5:
      size = 4;
      break;
    default:
      return 0;
  }
  if (size > message->size) return 0;
  if ((key & 7) == 2) *content = (Span){message->data, (size_t)size};
  message->data += size;
  message->size -= (size_t)size;
  return 1;
}

/* The first field of that number. */
static int find_field(Span message, uint64_t wanted, Span* content) {
  uint64_t number;
  while (read_field(&message, &number, content))
    if (number == wanted) return 1;
  return 0;
}

/* The value at `key` of the map that is field `map` of a message. */
static int find_entry(Span message, uint64_t map, const char* key, Span* value) {
  uint64_t number;
  Span entry, name;
  while (read_field(&message, &number, &entry))
    if (number == map && find_field(entry, ENTRY_KEY, &name) && name.size == strlen(key) &&
        memcmp(name.data, key, name.size) == 0)
      return find_field(entry, ENTRY_VALUE, value);
  return 0;
}

/* The tensor that a signature calls `name`, among its inputs or its outputs. */
static int find_tensor(TF_Graph* graph, Span signature, uint64_t side, const char* name, TF_Output* tensor) {
  Span info, text;
  if (!find_entry(signature, side, name, &info) || !find_field(info, TENSOR_NAME, &text)) {
    fprintf(stderr, "classify: the signature has no %s\n", name);
    return 0;
  }
  char* operation = strndup((const char*)text.data, text.size); /* "operation:index" */
  if (operation == NULL) {
    fprintf(stderr, "classify: out of memory\n");
    return 0;
  }
  char* colon = strrchr(operation, ':');
  if (colon != NULL) *colon = '\0';
  tensor->index = colon == NULL ? 0 : atoi(colon + 1);
  tensor->oper = TF_GraphOperationByName(graph, operation);
  int found = tensor->oper != NULL && tensor->index >= 0 && tensor->index < TF_OperationNumOutputs(tensor->oper);
  if (!found) fprintf(stderr, "classify: the graph has no operation %s\n", operation);
  free(operation);
  return found;
}

/* All of a file; to be freed. */
static char* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  char* data = NULL;
  size_t room = 0;
  *size = 0;
  while (file != NULL) {
    if (*size == room) {
      room = room == 0 ? 1 << 16 : room * 2;
      char* larger = realloc(data, room);
      if (larger == NULL) break;
      data = larger;
    }
    size_t count = fread(data + *size, 1, room - *size, file);
    *size += count;
    if (count == 0 && !ferror(file)) {
      fclose(file);
      return data;
    }
    if (count == 0) break;
  }
  fprintf(stderr, "classify: %s: %s\n", path, strerror(errno));
  if (file != NULL) fclose(file);
  free(data);
  return NULL;
}

/* A tensor of strings of the shape [1, count], or [1] for count -1. It refers to the strings, so that they must stay,
 * and nothing but the tensor is to be freed. */
static TF_Tensor* string_tensor(char** strings, const size_t* sizes, int count) {
  const int64_t shape[2] = {1, count};
  const int elements = count < 0 ? 1 : count;
  TF_Tensor* tensor = TF_AllocateTensor(TF_STRING, shape, count < 0 ? 1 : 2, sizeof(TF_TString) * (size_t)elements);
  if (tensor == NULL) {
    fprintf(stderr, "classify: out of memory\n");
    return NULL;
  }
  TF_TString* items = TF_TensorData(tensor);
  for (int i = 0; i < elements; i++) {
    TF_StringInit(&items[i]);
    TF_StringAssignView(&items[i], strings[i], sizes == NULL ? strlen(strings[i]) : sizes[i]);
  }
  return tensor;
}

/* Whether a tensor is of that type and of the shape [1, count]. */
static int fits(const TF_Tensor* tensor, TF_DataType type, int64_t count) {
  return TF_TensorType(tensor) == type && TF_NumDims(tensor) == 2 && TF_Dim(tensor, 0) == 1 &&
         TF_Dim(tensor, 1) == count && TF_TensorByteSize(tensor) >= (size_t)count * TF_DataTypeSize(type);
}

static int print_labels(TF_Tensor** outputs, int has_known) {
  const int64_t count = TF_NumDims(outputs[0]) == 2 ? TF_Dim(outputs[0], 1) : -1;
  if (!fits(outputs[0], TF_STRING, count) || !fits(outputs[1], TF_FLOAT, count) ||
      (has_known && !fits(outputs[2], TF_BOOL, count))) {
    fprintf(stderr, "classify: the signature answers other types or shapes\n");
    return 0;
  }
  const TF_TString* labels = TF_TensorData(outputs[0]);
  const float* scores = TF_TensorData(outputs[1]);
  const unsigned char* known = has_known ? TF_TensorData(outputs[2]) : NULL;
  for (int64_t i = 0; i < count; i++) {
    fwrite(TF_StringGetDataPointer(&labels[i]), 1, TF_StringGetSize(&labels[i]), stdout);
    printf("\t%.9g\t%d\n", scores[i], known == NULL || known[i] != 0);
  }
  return 1;
}

/* Runs the signature on a photo. Returns whether it worked, and says why not. */
static int run(TF_Session* session, TF_Graph* graph, Span meta_graph, char* photo, size_t size, char** labels,
               int num_labels, TF_Status* status) {
  const char* name = num_labels > 0 ? "classify" : "serving_default";
  const int num_inputs = num_labels > 0 ? 2 : 1;
  const int num_outputs = num_labels > 0 ? 3 : 2;
  const char* const output_names[3] = {"labels", "scores", "known"};
  TF_Output inputs[2], outputs[3];
  TF_Tensor* values[2] = {NULL, NULL};
  TF_Tensor* answers[3] = {NULL, NULL, NULL};
  Span signature;
  if (!find_entry(meta_graph, META_GRAPH_SIGNATURES, name, &signature)) {
    fprintf(stderr, "classify: the SavedModel has no signature %s\n", name);
    return 0;
  }
  if (!find_tensor(graph, signature, SIGNATURE_INPUTS, "image_bytes", &inputs[0])) return 0;
  if (num_labels > 0 && !find_tensor(graph, signature, SIGNATURE_INPUTS, "labels", &inputs[1])) return 0;
  for (int i = 0; i < num_outputs; i++)
    if (!find_tensor(graph, signature, SIGNATURE_OUTPUTS, output_names[i], &outputs[i])) return 0;

  values[0] = string_tensor(&photo, &size, -1);
  if (num_labels > 0) values[1] = string_tensor(labels, NULL, num_labels);
  int done = values[0] != NULL && (num_labels == 0 || values[1] != NULL);
  if (done) {
    TF_SessionRun(session, NULL, inputs, values, num_inputs, outputs, answers, num_outputs, NULL, 0, NULL, status);
    done = TF_GetCode(status) == TF_OK;
    if (!done) fprintf(stderr, "classify: %s\n", TF_Message(status));
  }
  if (done) done = print_labels(answers, num_labels > 0);
  for (int i = 0; i < 2; i++)
    if (values[i] != NULL) TF_DeleteTensor(values[i]);
  for (int i = 0; i < 3; i++)
    if (answers[i] != NULL) TF_DeleteTensor(answers[i]);
  return done;
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: classify VERSION_DIR PHOTO [LABEL ...]\n");
    return 2;
  }
  size_t size;
  char* photo = read_file(argv[2], &size);
  if (photo == NULL) return 1;

  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_Buffer* meta_graph = TF_NewBuffer();
  const char* const tags[1] = {"serve"};
  TF_Session* session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, meta_graph, status);
  int done = 0;
  if (session == NULL || TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "classify: %s\n", TF_Message(status));
  } else {
    const Span message = {meta_graph->data, meta_graph->length};
    done = run(session, graph, message, photo, size, argv + 3, argc - 3, status);
  }
  if (session != NULL) {
    TF_CloseSession(session, status);
    TF_DeleteSession(session, status);
  }
  TF_DeleteBuffer(meta_graph);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  free(photo);
  if (done && (fflush(stdout) != 0 || ferror(stdout))) {
    fprintf(stderr, "classify: cannot write the answer: %s\n", strerror(errno));
    done = 0;
  }
  return done ? 0 : 1;
}
