import { errorOfBody } from './errors';

/**
 * Uploads a file and resolves with its upload ID. `onProgress` gets the sent fraction, 0 to 1. XMLHttpRequest, because fetch does not
 * report what it has sent. For uploads that are paused and resumed, see client-examples/tus.
 */
export function upload(file: File, onProgress: (fraction: number) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    request.onerror = () => reject(errorOfBody(''));
    request.onload = () => {
      if (request.status === 201) resolve(JSON.parse(request.responseText).id);
      else reject(errorOfBody(request.responseText));
    };
    request.open('POST', '/uploads');
    const form = new FormData();
    form.set('file', file);
    request.send(form);
  });
}
