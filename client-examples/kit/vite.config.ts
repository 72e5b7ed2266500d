// Serves the page, and passes what belongs to the API on to the server PAUSA. So both have one origin, as behind a proxy in production.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const target = process.env.PAUSA ?? 'http://127.0.0.1:8080';
const proxy = { '/graphql': { target, ws: true }, '/uploads': { target }, '/download': { target } };

export default defineConfig({ plugins: [react()], server: { proxy }, preview: { proxy } });
